"""A verifier that knows nothing: search under it must gain nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.protocols import Condition
from scaling.verifiers.sample_verifier import SampleVerifier


class Control(SampleVerifier):
    """Scores by the folded phase of a random projection of the pixels: uniform in [-1, 1] and blind to quality.

    Unlike a digest of the bytes it is continuous, so rounding (another batch shape or device) moves it as little as it
    moves the image, yet two candidates of a condition lie many turns of the phase apart.

    Args:
        seed: of the projection.
        turns: radians of the phase for a projection of 1.
    """

    def __init__(self, *, seed: int = 0, turns: float = 4.0) -> None:
        self.seed, self.turns = seed, turns
        self._identity = {"class": "Control", "seed": seed, "turns": turns}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """Scores of images in [0, 1] that say nothing of them; conditions play no part."""
        pixels = images.flatten(1).double().cpu()
        direction = torch.randn(
            pixels.shape[1], generator=torch.Generator().manual_seed(self.seed), dtype=torch.float64
        )
        phase = self.turns * (pixels * direction).sum(dim=1)
        return (torch.sin(phase).asin() * (2 / torch.pi)).float().to(images.device)
