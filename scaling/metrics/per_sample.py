"""Quantities of single samples: columns beside each winner, and by their means points of the curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Accuracy:
    """1 where the largest of a sample's logits is its label's, else 0; NaN where it has no label (-1)."""

    former_parameters: ClassVar[Mapping[str, str]] = {"feature": "reads"}
    feature: str
    name: str = "accuracy"

    def __call__(self, values: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """1 where the largest entry of a row is at its label, else 0."""
        hit = (values.argmax(1) == _checked(labels, values)).double()
        return hit.where(labels >= 0, float("nan"))


@dataclass(frozen=True)
class Value:
    """A per-sample metric that an extractor gives as it is, [n,1]; NaN where it does not apply to a sample."""

    former_parameters: ClassVar[Mapping[str, str]] = {"feature": "reads"}
    feature: str

    def __call__(self, values: Float[Tensor, "n outputs"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The values as they are, float64; a ValueError where they are not one a sample."""
        if values.ndim != 2 or values.shape[1] != 1:
            raise ValueError(f"{self.feature} has shape {tuple(values.shape)}: one value a sample is needed")
        return values[:, 0].double()


def _checked(labels: Tensor, values: Tensor) -> Tensor:
    labels = labels.to(values.device)
    if len(labels) and int(labels.max()) >= values.shape[1]:
        raise ValueError(f"label {int(labels.max())}, but there are {values.shape[1]} classes")
    return labels
