"""Text encoders that are loaded to encode and then freed, what they are asked for, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from scaling.flops import shapes_alone
from scaling.loading.devices import free
from scaling.models.encoded_prompts import Asked, Encoder, Negative, Row
from scaling.models.prompt_limits import cut_at
from scaling.models.repository import Repository
from scaling.protocols import Condition


def wanted(conditions: Sequence[Condition], guidance_scale: float, guided: bool) -> tuple[list[str], list[Negative]]:
    """Prompts, and what each is led away from where guidance is run, in order.

    Raises:
        ValueError: naming a condition that has no prompt, or that sets a guidance which would not be run.
    """
    prompts, negatives = [], []
    for condition in conditions:
        own: dict[str, Any] = dict(condition.settings)
        if condition.prompt is None:
            raise ValueError(f"condition {condition.class_label}: a text-to-image model needs a prompt")
        if own.get("guidance_scale", 2) <= 1:
            raise ValueError(
                f"condition {condition.prompt!r} sets guidance_scale={own['guidance_scale']:g}: where "
                f"model.guidance_scale={guidance_scale:g} is run, above 1 is needed"
            )
        prompts.append(condition.prompt)
        negatives.append(Negative(own.get("negative_prompt")))
    return prompts, negatives if guided else []


@contextmanager
def loaded(
    repository: Repository,
    dtype: torch.dtype,
    device: torch.device,
    row: Callable[[Any, Asked], Row],
    longest: int | None,
) -> Iterator[Encoder]:
    """A repository's text encoders, on the device while they are needed.

    `row` encodes by diffusers' pipeline of these parts alone; `longest`: see `cut_at`.
    """
    pipe = repository.pipeline(repository.text_parts, dtype).to(device)
    with torch.inference_mode():
        yield Encoder(lambda asked: row(pipe, asked), lambda prompt: cut_at(pipe, prompt, longest))
    del pipe
    free(device)


def encode_gflops(repository: Repository, row: Callable[[Any, Asked], Row]) -> float:
    """GFLOPs of the text encoders for one prompt, counted without their weights."""
    from torch.utils.flop_counter import FlopCounterMode

    with shapes_alone(), FlopCounterMode(display=False) as counter:
        row(repository.hollow_pipeline(repository.text_parts), "")
    return counter.get_total_flops() / 1e9
