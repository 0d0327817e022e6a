"""One search over one block of conditions, on one device: all that the engine computes it with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from scaling.engine.batches import Batches
from scaling.engine.episode import AnswerColumns, Episode
from scaling.engine.ladder import FittedSearch
from scaling.engine.requests import EncodedBlock, Request
from scaling.engine.retention import Retention
from scaling.journal.block import Block
from scaling.noise import NoiseSpace
from scaling.protocols import Condition
from scaling.traits import SearchTraits


@dataclass(frozen=True)
class SecondSolve:
    """How winners are solved again where the search's own network made drafts, or where its state is gone on from."""

    batches: Batches  # of the network that makes the final samples
    encoded: EncodedBlock
    start: float | None = None  # the time from which it goes on with the draft's state; None: from the noise
    name: str = ""  # of its samples in the journal


@dataclass(frozen=True)
class BlockRun:
    """Knows neither folders nor leases: `table` is where answers are read and written."""

    fitted: FittedSearch
    spaces: Sequence[NoiseSpace]  # one a condition
    table: Block
    batches: Batches
    encoded: EncodedBlock
    guide: str  # name of the verifier that guides
    retention: Retention
    second: SecondSolve | None = None  # None: the search's network makes the final samples, from the noise

    @property
    def final(self) -> SecondSolve:
        """What makes and judges the final samples."""
        return self.second or SecondSolve(self.batches, self.encoded)

    @property
    def conditions(self) -> Sequence[Condition]:
        """The conditions of the block, in order."""
        return self.encoded.conditions

    @property
    def traits(self) -> SearchTraits:
        """What the search says of itself."""
        return self.fitted.traits

    @cached_property
    def columns(self) -> AnswerColumns:
        """The columns of the journal that answer this search."""
        scores = self.batches.score_columns
        return AnswerColumns(scores[self.guide], tuple(scores.values()), self.traits.reads)

    def episode(self, index: int) -> Episode:
        """The search on the condition at this place of the block, from its beginning."""
        name = f"condition {self.encoded.first + index}"
        return Episode(self.fitted.search, self.spaces[index], self.table, self.columns, index, self.fitted.nfe, name)

    def replay(self, keys: Iterable[Sequence[int]]) -> list[Request]:
        """Requests for some candidates (condition, candidate) again, made from their seeds."""
        wanted: dict[int, set[int]] = {}
        for index, candidate_id in keys:
            wanted.setdefault(int(index), set()).add(int(candidate_id))
        return [
            request
            for index, candidate_ids in wanted.items()
            for request in self.episode(index).replay(candidate_ids).values()
        ]
