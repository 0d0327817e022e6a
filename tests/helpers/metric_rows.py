"""Small references and samples for the tests of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scaling.metrics.reference import Reference, reference_from_batches, save_reference
from scaling.metrics.sets import SetMetric
from scaling.protocols import Condition


class Identity(torch.nn.Module):
    """A feature network whose features are its input, for torchmetrics."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, values: Tensor) -> Tensor:
        return values


def correlated(n: int, d: int, seed: int, shift: float = 0.0) -> Tensor:
    """Correlated Gaussian rows [n, d] in float64, rounded to half precision as a reference's rows are kept."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=torch.Generator().manual_seed(d), dtype=torch.float64) / d**0.5
    return (torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix + shift).half().double()


def write_reference(folder: Path, rows: Tensor) -> str:
    """A reference file in our layout that keeps all rows."""
    path = folder / "reference.npz"
    save_reference(path, reference_from_batches(rows.split(37), keep=len(rows)))
    return str(path)


def fill(metric: SetMetric, values: Tensor, parts: int = 1, index: Tensor | None = None) -> SetMetric:
    """The metric after updates with the rows, in `parts` batches."""
    index = torch.arange(len(values)) if index is None else index
    for rows, places in zip(values.chunk(parts), index.chunk(parts), strict=True):
        metric.update(rows, places, torch.full_like(places, -1))
    return metric


def statistics(rows: Tensor) -> Reference:
    """A reference in memory."""
    return Reference(rows.mean(0), rows.T.cov(), len(rows), rows)


class PixelMean:
    """Features that are an image's mean color."""

    def __call__(self, images: Tensor, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return {"features": images.mean((2, 3))}

    def identity(self) -> dict[str, Any]:
        return {}
