"""Improved precision and recall (Kynkaanniemi et al. 1904.06991, section 2), which torchmetrics has not.

A set's manifold is the union of balls around its rows, each as wide as the distance to its k-th nearest neighbor.
Precision: the share of samples inside the reference's manifold. Recall: of reference rows inside the samples'.
Values of different feature networks or counts do not compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling.metrics.reference import load_reference
from scaling.metrics.sets import RowsMetric


class _Manifold(RowsMetric):
    execution_only: ClassVar[frozenset[str]] = frozenset({"chunk"})
    parameters = (*RowsMetric.parameters, "reference", "k")
    higher_is_better = True

    def __init__(self, reference: str, feature: str, width: int | None = None, k: int = 3, chunk: int = 1024) -> None:
        super().__init__(feature)
        self.reference = load_reference(reference, width)
        if not 1 <= k < len(self.reference.rows()):
            raise ValueError(f"k={k} neighbors, but {self.reference.source} has {len(self.reference.rows())} rows")
        self.k = k
        self.chunk = chunk

    def update(self, values: Float[Tensor, "n d"], index: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> None:
        """Takes rows; `index` are the conditions' places in the study, `labels` are not read."""
        self.reference.check(values.shape[1], self.feature)
        super().update(values, index, labels)

    def distances(self, a: Tensor, b: Tensor) -> Iterator[tuple[slice, Float[Tensor, "c m"]]]:
        """Distances from each chunk of a to all of b."""
        for start in range(0, len(a), self.chunk):
            rows = slice(start, start + self.chunk)
            yield rows, torch.cdist(a[rows], b)

    @cached_property
    def _real(self) -> Tensor:
        return self.reference.rows().double()


class Precision(_Manifold):
    """The share of samples inside the reference's manifold: fidelity; 0 to 1."""

    def compute(self) -> Tensor:
        """The share, a float64 scalar."""
        return self._covered(self.rows()[0]).mean()

    def replicates(self, groups: int) -> Float[Tensor, " groups"]:
        """The share without each group; exact, as the manifold is the reference's."""
        rows, index = self.rows()
        members = torch.nn.functional.one_hot(index % groups, groups).double()
        covered = self._covered(rows)
        return (covered.sum() - covered @ members) / (len(rows) - members.sum(0))

    def _covered(self, rows: Tensor) -> Float[Tensor, " n"]:
        return torch.cat([(d <= self._radii).any(1).double() for _, d in self.distances(rows, self._real)])

    @cached_property
    def _radii(self) -> Float[Tensor, " m"]:
        nearest = [d.kthvalue(self.k + 1).values for _, d in self.distances(self._real, self._real)]
        return torch.cat(nearest)  # k + 1: a row is its own nearest


class Recall(_Manifold):
    """The share of reference rows inside the samples' manifold: coverage; 0 to 1."""

    def compute(self) -> Tensor:
        """The share, a float64 scalar."""
        rows, index = self.rows()
        return self._shares(rows, torch.zeros_like(index), 1)[0]

    def replicates(self, groups: int) -> Float[Tensor, " groups"]:
        """The share without each group; exact: balls grow where a neighbor was left out."""
        rows, index = self.rows()
        return self._shares(rows, index % groups, groups)

    def _shares(self, rows: Tensor, group: Int[Tensor, " n"], groups: int) -> Float[Tensor, " groups"]:
        """Recall without each group in turn, or of all where there is one group."""
        order = group.argsort(stable=True)
        rows, group = rows[order], group[order]
        radii = self._radii(rows, group, groups)
        hits = rows.new_zeros(groups)
        for _, d in self.distances(self._real, rows):
            inside = [(d <= radii[g]).any(1).double().sum() for g in range(groups)]
            hits += torch.stack(inside)
        return hits / len(self._real)

    def _radii(self, rows: Tensor, group: Int[Tensor, " n"], groups: int) -> Float[Tensor, "groups n"]:
        """Distance to the k-th neighbor outside of each group; -1 (no ball) for the group's own rows.

        Each row keeps its k nearest within every group, so that all replicates take one pass over the distances.
        """
        sizes = torch.bincount(group, minlength=groups).tolist()
        if len(rows) - (max(sizes) if groups > 1 else 0) <= self.k:
            raise ValueError(f"recall with k={self.k} needs more than {len(rows)} samples")
        radii = rows.new_full((groups, len(rows)), -1.0)
        for chunk, d in self.distances(rows, rows):
            own = torch.arange(len(d), device=d.device)
            d[own, own + chunk.start] = torch.inf
            parts = d.split(sizes, dim=1)
            nearest = [part.topk(min(self.k, part.shape[1]), dim=1, largest=False).values for part in parts]
            for g in range(groups):
                others = torch.cat([near for h, near in enumerate(nearest) if groups == 1 or h != g], 1)
                radius = others.kthvalue(self.k).values
                radii[g, chunk] = radius if groups == 1 else radius.where(group[chunk] != g, -1.0)
        return radii
