"""The exact judge of the shapes world as a verifier: the upper bound of what a search can do for accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.protocols import Condition
from scaling.shapes import judge
from scaling.shapes.grammar import parse
from scaling.verifiers.sample_verifier import SampleVerifier


class ShapesOracle(SampleVerifier):
    """Scores 1 where all that the prompt says is so, and nothing else is there; else 0."""

    def __init__(self) -> None:
        self._identity = {"class": "ShapesOracle", **judge.THRESHOLDS}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """0 or 1 for images in [0, 1]; a ValueError names a prompt that is not of the grammar."""
        prompts = [parse(condition.prompt or "") for condition in conditions]
        return torch.from_numpy(judge.judge(images.float().cpu().numpy(), prompts)).float()
