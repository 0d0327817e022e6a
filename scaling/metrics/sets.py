"""What the metrics of a set share: states that start anew, and the groups of the jackknife.

Conditions fall into groups by index mod `groups`, the same in every run, so that two runs can be compared group by
group. A torchmetrics `Metric` with `feature` and `replicates` is a metric too; ours do without its base class, since
whatever imports torchmetrics imports torchvision, transformers and torch's compiler with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling.identity import named


class SetMetric(ABC):
    """A scalar of a set of samples that can be had without the conditions of a group, too.

    `feature` is the output of a Features network that it takes, as "<extractor>.<output>". What it keeps of the samples
    are attributes of which `add_state` knows the first value.
    """

    parameters: tuple[str, ...] = ("feature",)  # the attributes that decide its answers
    former_parameters: ClassVar[Mapping[str, str]] = {"feature": "reads"}  # what identities call them

    def __init__(self, feature: str) -> None:
        self.feature = feature
        self._states: dict[str, Any] = {}

    @abstractmethod
    def update(self, values: Float[Tensor, "n d"], index: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> None:
        """Takes rows; `index` are the conditions' places in the study, `labels` are not read."""

    @abstractmethod
    def compute(self) -> Float[Tensor, ""]:
        """The metric of all rows so far, a float64 scalar."""

    @abstractmethod
    def replicates(self, groups: int) -> Float[Tensor, " groups"]:
        """The metric without the conditions of each group (index mod groups)."""

    def add_state(self, name: str, first: Tensor | list[Tensor]) -> None:
        """Adds an attribute that `reset` sets to a copy of its first value."""
        self._states[name] = first
        setattr(self, name, _copy(first))

    def reset(self) -> None:
        """Forgets all rows."""
        for name, first in self._states.items():
            setattr(self, name, _copy(first))

    def identity(self) -> dict[str, Any]:
        """Class and parameters, a reference by its content."""
        kind = type(self)
        values = {self.former_parameters.get(name, name): named(getattr(self, name)) for name in self.parameters}
        return {"name": f"{kind.__module__}.{kind.__qualname__}", **values}


def _copy(state: Any) -> Any:
    return state.clone(memory_format=torch.contiguous_format) if isinstance(state, Tensor) else list(state)


class GroupedMetric(SetMetric):
    """Keeps sums per residue of the index: memory does not depend on the number of samples."""

    parameters = (*SetMetric.parameters, "residues", "groups")

    def __init__(self, feature: str, residues: int, groups: int) -> None:
        super().__init__(feature)
        if groups < 2:
            raise ValueError(f"a jackknife needs at least 2 groups, not {groups}")
        self.residues = residues
        self.groups = groups

    def add_sum(self, name: str, *shape: int) -> None:
        """Adds a float64 state [residues, *shape] of zeros."""
        zero = torch.zeros((), dtype=torch.float64).expand(self.residues, *shape)  # the default takes no memory
        self.add_state(name, zero)

    def members(self, groups: int) -> Float[Tensor, "groups residues"]:
        """1 where a residue belongs to a group."""
        if groups < 2 or self.groups % groups:
            valid = [g for g in range(2, self.groups + 1) if self.groups % g == 0]
            raise ValueError(f"replicates over {groups} groups, but sums were kept for {valid}")
        residue = torch.arange(self.residues)
        return (residue % groups == torch.arange(groups)[:, None]).double()


class RowsMetric(SetMetric):
    """Keeps every row: for metrics of pairs of samples."""

    values: list[Tensor]
    index: list[Tensor]

    def __init__(self, feature: str) -> None:
        super().__init__(feature)
        self.add_state("values", [])
        self.add_state("index", [])

    def update(self, values: Float[Tensor, "n d"], index: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> None:
        """Takes rows; `index` are the conditions' places in the study, `labels` are not read."""
        self.values.append(values.detach().cpu())
        self.index.append(index.cpu())

    def rows(self) -> tuple[Float[Tensor, "n d"], Int[Tensor, " n"]]:
        """All rows in float64 by ascending index, and the index: the order of updates leaves no trace."""
        if not self.values:
            raise ValueError(f"{type(self).__name__} was given no samples")
        index, order = torch.cat(self.index).sort(stable=True)
        return torch.cat(self.values)[order].double(), index
