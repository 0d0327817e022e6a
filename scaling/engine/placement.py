"""One network at a time on a device that cannot hold model, decoder, verifiers and feature networks together."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from torch import nn

from scaling.protocols import Denoiser

MODEL, DECODER = "model", "decoder"
DEPTH = 4  # how far below a part its networks are looked for: a verifier, its encoders, their networks


class Residents:
    """Knows the networks of each part; `bring` leaves only one part's on the device."""

    def __init__(self, denoiser: Denoiser, scorers: Mapping[str, Any], extractors: Mapping[str, Any]) -> None:
        self._denoiser = denoiser
        self._others = {scorer_part(name): part for name, part in scorers.items()}
        self._others |= {extractor_part(name): part for name, part in extractors.items()}
        self._here: str | None = None

    def bring(self, name: str) -> None:
        """Takes all other parts off the device, then puts this one there."""
        if name == self._here:
            return
        parts = self._parts()
        release(*(network for other, own in parts.items() if other != name for network in own))
        for network in parts[name]:
            move(network, self._denoiser.device)
        self._here = name

    def _parts(self) -> dict[str, list[nn.Module]]:
        """Looked for each time, since a network may be loaded at its first use."""
        decoder = networks(getattr(self._denoiser, "vae", None))
        model = [network for network in networks(self._denoiser) if network not in decoder]
        return {MODEL: model, DECODER: decoder, **{name: networks(part) for name, part in self._others.items()}}


def scorer_part(name: str) -> str:
    return f"scorer {name}"


def extractor_part(name: str) -> str:
    return f"extractor {name}"


def release(*parts: Any) -> None:
    """Takes the networks of some parts off their device."""
    for part in parts:
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
    found = {id(network): network for child in children for network in networks(child, depth - 1)}
    return list(found.values())


def move(network: nn.Module, device: torch.device) -> None:
    nn.Module.to(network, device)  # diffusers' own `to` warns, of nothing here
