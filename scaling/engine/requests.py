"""What the engine asks of a device and what comes back: a row to compute, what is charged for it, the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scaling.budget import Cost
from scaling.protocols import Condition, Encoded

Columns = dict[str, np.ndarray]  # named answers, one entry a row
GroupKey = tuple[int, bool, bool, bool]


def _column(dtype: type) -> Any:
    return field(metadata={"dtype": dtype})


@dataclass(frozen=True, slots=True)
class Charge:
    """What the journal says of one row beside its answers; the fields are columns there."""

    spent: int = _column(np.int64)  # search NFE of the condition once this row's proposal was answered
    nfe: int = _column(np.int32)  # of which this row alone; a gradient runs every call twice
    backward: int = _column(np.int32)  # denoiser calls of this row that a gradient went back through
    round: int = _column(np.int32)  # the number of its proposal
    parent: int = _column(np.int32)  # the candidate that it came from, -1 = none
    t: float = _column(np.float64)  # where it ended; 0 = a clean sample
    cosine: float = _column(np.float32)  # of its start to its parent's, where both are known and begin at one time
    scored: int = _column(np.uint8)
    digest: int = _column(np.uint64)  # of the proposal, so that a changed search is noticed

    @staticmethod
    def columns(charges: Sequence[Charge]) -> Columns:
        """The charges of some rows as columns of the journal."""
        return {
            each.name: np.array([getattr(charge, each.name) for charge in charges], each.metadata["dtype"])
            for each in fields(Charge)
        }


@dataclass(frozen=True)
class EncodedBlock:
    """The conditions of a block as the network takes them, encoded once for all their candidates."""

    conditions: Sequence[Condition]
    tensors: Encoded  # one row a condition
    first: int = 0  # index of the first one in the study
    seconds: float = 0.0  # that encoding took

    def rows(self, index: Sequence[int]) -> Encoded:
        """Those of some conditions, by their index within the block."""
        rows = torch.tensor(index)
        return {name: value.index_select(0, rows.to(value.device)) for name, value in self.tensors.items()}

    def describe(self, condition_index: int, candidate_id: int) -> str:
        """A candidate in words, for errors."""
        content = self.conditions[condition_index].words
        return f"condition {self.first + condition_index} ({content}), candidate {candidate_id}"


@dataclass(frozen=True, slots=True)
class Request:
    """One candidate to compute: whose it is and what was proposed."""

    condition_index: int  # within the block
    candidate_id: int  # the candidate's running number within the condition
    x: Float[Tensor, " *latent"]  # at times[0], float32 on the CPU
    times: Float[Tensor, " times"]  # float64 on the CPU
    score: bool = True
    gradient: bool = False
    charge: Charge | None = None  # None where a journaled candidate is computed again

    @property
    def group_key(self) -> GroupKey:
        """Requests of one key may share a batch."""
        return len(self.times), self.score, self.gradient, self.times[-1].item() == 0


@dataclass(frozen=True)
class Answers:
    """The answers for some rows, and what they took."""

    columns: Columns
    cost: Cost = field(default_factory=Cost)
    reduced_batch: int | None = None  # rows that went at a time where memory did not suffice for the batch size

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    def __contains__(self, column: str) -> bool:
        return column in self.columns
