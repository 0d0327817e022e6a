"""Mixtures that count the rows that they are asked for, one as a model and one as its draft."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import Tensor

from scaling.models.gaussian_mixture import GaussianMixture
from scaling.protocols import Encoded, Prediction


class Counted(GaussianMixture):
    """A mixture that counts the rows that it is asked for."""

    def __init__(self, means: list[list[float]], **options: Any) -> None:
        super().__init__(means, 0.5, latent_shape=(1, 1, 2), **options)
        self.rows: Counter[str] = Counter()

    def __call__(self, x: Tensor, t: Tensor, encoded: Encoded) -> Prediction:
        self.rows["forward"] += len(x)
        return super().__call__(x, t, encoded)

    def decode(self, x0: Tensor) -> Tensor:
        self.rows["decode"] += len(x0)
        return super().decode(x0)


def model() -> Counted:
    return Counted([[-1.0, 0.0], [1.0, 0.5]])


def sketch() -> Counted:
    """Its components lie elsewhere, and are two more: each forward has twice the FLOPs."""
    return Counted([[-0.8, 0.1], [0.9, 0.4], [0.0, 0.0], [0.1, 0.1]])
