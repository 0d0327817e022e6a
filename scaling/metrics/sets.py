"""What the metrics of a set share: torchmetrics' states, and the groups of the jackknife.

Conditions fall into groups by index mod `groups`, the same in every run, so that two runs can be compared group by
group.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric


class SetMetric(Metric):
    """A scalar of a set of samples that can be had without the conditions of a group, too."""

    full_state_update = False
    is_differentiable = False

    def __init__(self, reads: str) -> None:
        super().__init__(compute_with_cache=False)
        self.reads = reads

    @abstractmethod
    def update(self, values: Float[Tensor, "n d"], index: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> None:
        """Takes rows; `index` are the conditions' places in the study, `labels` are not read."""

    @abstractmethod
    def replicates(self, groups: int) -> Float[Tensor, " groups"]:
        """The metric without the conditions of each group (index mod groups)."""


class GroupedMetric(SetMetric):
    """Keeps sums per residue of the index: memory does not depend on the number of samples."""

    def __init__(self, reads: str, residues: int, groups: int) -> None:
        super().__init__(reads)
        if groups < 2:
            raise ValueError(f"a jackknife needs at least 2 groups, not {groups}")
        self.residues = residues
        self.groups = groups

    def add_sum(self, name: str, *shape: int) -> None:
        """Adds a float64 state [residues, *shape] that workers sum. Follow the last one with `reset()`."""
        zero = torch.zeros((), dtype=torch.float64).expand(self.residues, *shape)  # the default takes no memory
        self.add_state(name, zero, dist_reduce_fx="sum")

    def members(self, groups: int) -> Float[Tensor, "groups residues"]:
        """1 where a residue belongs to a group."""
        if groups < 2 or self.groups % groups:
            valid = [g for g in range(2, self.groups + 1) if self.groups % g == 0]
            raise ValueError(f"replicates over {groups} groups, but sums were kept for {valid}")
        residue = torch.arange(self.residues, device=self.device)
        return (residue % groups == torch.arange(groups, device=self.device)[:, None]).double()


class RowsMetric(SetMetric):
    """Keeps every row: for metrics of pairs of samples."""

    values: list[Tensor]
    index: list[Tensor]

    def __init__(self, reads: str) -> None:
        super().__init__(reads)
        self.add_state("values", [], dist_reduce_fx="cat")
        self.add_state("index", [], dist_reduce_fx="cat")

    def update(self, values: Float[Tensor, "n d"], index: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> None:
        """Takes rows; `index` are the conditions' places in the study, `labels` are not read."""
        self.values.append(values.detach().to(self.device))
        self.index.append(index.to(self.device))

    def rows(self) -> tuple[Float[Tensor, "n d"], Int[Tensor, " n"]]:
        """All rows in float64 by ascending index, and the index: the order of updates leaves no trace."""
        values, index = (state if isinstance(state, Tensor) else torch.cat(state) for state in self._states())
        index, order = index.sort(stable=True)
        return values[order].double(), index

    def _states(self) -> tuple[Any, Any]:
        if not len(self.values):
            raise ValueError(f"{type(self).__name__} was given no samples")
        return self.values, self.index
