"""Kernel inception distance (Binkowski et al. 1801.01401): unbiased squared MMD under a cubic kernel.

All pairs are used, where torchmetrics averages over 100 random subsets: no randomness, the least variance, and exact
replicates from sums per group. With as many samples as reference rows it equals torchmetrics' with one subset of all.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling.metrics.reference import load_reference
from scaling.metrics.sets import RowsMetric


class KID(RowsMetric):
    """MMD^2 between the rows and the reference's rows under k(a, b) = (a b / d + 1)^3; lower is better, not scaled.

    Unbiased at any number of samples. Time is n (n + m) d; `chunk` rows are in memory at a time.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"chunk"})
    parameters = (*RowsMetric.parameters, "reference")
    higher_is_better = False

    def __init__(self, reference: str, feature: str, width: int | None = None, chunk: int = 2048) -> None:
        super().__init__(feature)
        self.reference = load_reference(reference, width)
        self.reference.rows()
        self.chunk = chunk

    def update(self, values: Float[Tensor, "n d"], index: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> None:
        """Takes rows; `index` are the conditions' places in the study, `labels` are not read."""
        self.reference.check(values.shape[1], self.feature)
        super().update(values, index, labels)

    def compute(self) -> Tensor:
        """The estimate, a float64 scalar; it may fall below 0."""
        count, within, across = self._sums(1)
        return self._estimate(count.sum(), within.sum(), across.sum())

    def replicates(self, groups: int) -> Float[Tensor, " groups"]:
        """The estimate without each group; exact."""
        count, within, across = self._sums(groups)
        without = within.sum() - within.sum(0) - within.sum(1) + within.diagonal()
        return torch.stack(
            [self._estimate(*sums) for sums in zip(count.sum() - count, without, across.sum() - across, strict=True)]
        )

    def _sums(self, groups: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows a group, sums of the kernel between groups (no row with itself) and between groups and reference."""
        rows, index = self.rows()
        members = torch.nn.functional.one_hot(index % groups, groups).double()
        across = members.T @ self._kernel_sums(rows, self._real, torch.ones_like(self._real[:, :1]))
        within = members.T @ self._kernel_sums(rows, rows, members)
        itself = (rows.square().sum(1) / rows.shape[1] + 1) ** 3
        return members.sum(0), within - torch.diag(members.T @ itself), across[:, 0]

    def _kernel_sums(self, a: Tensor, b: Tensor, weights: Float[Tensor, "m g"]) -> Float[Tensor, "n g"]:
        """kernel(a, b) @ weights."""
        out = a.new_zeros(len(a), weights.shape[1])
        for i in range(0, len(a), self.chunk):
            for j in range(0, len(b), self.chunk):
                block = (a[i : i + self.chunk] @ b[j : j + self.chunk].T * (1 / a.shape[1]) + 1) ** 3
                out[i : i + self.chunk] += block @ weights[j : j + self.chunk]
        return out

    def _estimate(self, n: Tensor, within: Tensor, across: Tensor) -> Tensor:
        if n < 2:
            raise ValueError(f"KID needs at least 2 samples, not {int(n)}")
        m = len(self._real)
        return within / (n * (n - 1)) + self._within_reference - 2 * across / (n * m)

    @cached_property
    def _real(self) -> Tensor:
        return self.reference.rows().double()

    @cached_property
    def _within_reference(self) -> float:
        real = self._real
        itself = (real.square().sum(1) / real.shape[1] + 1) ** 3
        total = self._kernel_sums(real, real, torch.ones_like(real[:, :1])).sum() - itself.sum()
        return float(total / (len(real) * (len(real) - 1)))
