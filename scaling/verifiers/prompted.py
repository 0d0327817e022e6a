"""Prompts of conditions, and what is computed once for each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.protocols import Condition


def prompts_of(conditions: Sequence[Condition]) -> list[str]:
    """The prompts; a ValueError names a condition that has none."""
    for condition in conditions:
        if condition.prompt is None:
            raise ValueError(f"condition {condition.class_label}: this verifier compares with a prompt, there is none")
    return [str(condition.prompt) for condition in conditions]


class PerPrompt:
    """Text embeddings, computed once a prompt and kept on their device."""

    def __init__(self, embed: Callable[[list[str]], Float[Tensor, "n d"]]) -> None:
        self._embed = embed
        self._known: dict[str, Tensor] = {}

    def __call__(self, conditions: Sequence[Condition]) -> Float[Tensor, "n d"]:
        prompts = prompts_of(conditions)
        if missing := [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]:
            with torch.inference_mode(False), torch.no_grad():
                self._known.update(zip(missing, self._embed(missing), strict=True))
        return torch.stack([self._known[prompt] for prompt in prompts])
