"""Judges that share a device with a model that is too large for both: each is there only while it is at work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import nn

from scaling.loading.devices import move
from scaling.protocols import Denoiser

DEPTH = 4  # how far below a part its networks are looked for: a verifier, its encoders, their networks


@contextmanager
def on_device(part: Any, denoiser: Denoiser) -> Iterator[None]:
    """Within it the networks of a judge have the device of a model with `offload` to themselves.

    A model that moves its own network and decoder (`offload` other than "none") has `release()`, which takes both off
    the device until it is called again. For any other model nothing moves, nor where a gradient goes through all parts.
    """
    if not offloads(denoiser) or torch.is_grad_enabled():
        yield
        return
    denoiser.release()  # type: ignore[attr-defined]
    for network in networks(part):
        move(network, denoiser.device)
    try:
        yield
    finally:
        take_off(part)


def offloads(denoiser: Any) -> bool:
    """Whether a model shares its device with judges in turns."""
    return getattr(denoiser, "offload", "none") != "none"


def take_off(part: Any) -> None:
    """Takes the networks of a part off their device."""
    for network in networks(part):
        move(network, torch.device("cpu"))
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def networks(part: Any, depth: int = DEPTH) -> list[nn.Module]:
    """The networks that an object holds, each once."""
    if isinstance(part, nn.Module):
        return [part]
    children: list[Any] = []
    if isinstance(part, Mapping):
        children = list(part.values())
    elif isinstance(part, list | tuple):
        children = list(part)
    elif hasattr(part, "__dict__") and not isinstance(part, type | ModuleType):
        children = list(vars(part).values())
    if depth == 0:
        return []
    by_id = {id(network): network for child in children for network in networks(child, depth - 1)}
    return list(by_id.values())
