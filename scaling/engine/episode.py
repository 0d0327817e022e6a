"""A search under way for one condition: it proposes, the journal answers, and what is missing is asked for."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scaling.engine.batches import Row
from scaling.journal.block import Block, Keys
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, Scored, Search, SearchTraits
from scaling.search.geometry import cosine

RECORD = {  # what the journal says of every row beside the answers
    "spent": np.int64,  # search NFE of the condition once this row's proposal was answered
    "nfe": np.int32,  # of which this row alone (a gradient runs every call twice)
    "backward": np.int32,  # denoiser calls of this row that a gradient went back through
    "round": np.int32,  # the number of its proposal
    "parent": np.int32,  # the row that it came from, -1 = none
    "t": np.float64,  # where it ended; 0 = a clean sample
    "cosine": np.float32,  # of its start to its parent's, where the two began at one time in successive proposals
    "scored": np.uint8,
    "digest": np.uint64,  # of the proposal, so that a changed search is noticed
}


@dataclass(frozen=True)
class Needs:
    """Which columns of the journal an answered row must have."""

    guiding: str  # the column of the score that the search is told
    scores: tuple[str, ...]  # all score columns that are recorded
    reads: frozenset[str]  # of {"x", "x0", "gradient"}: what the search reads besides

    def of(self, proposal: Proposal) -> list[str]:
        tensors = {self.source(name, proposal) for name in self.reads if name != "gradient" or proposal.gradient}
        return ["spent", *(self.scores if proposal.score else ()), *sorted(tensors)]

    @staticmethod
    def source(name: str, proposal: Proposal) -> str:
        """The column that answers `x`, `x0` or `gradient`: of a clean sample x and x0 are one, its latents."""
        return "latents" if name != "gradient" and proposal.times[-1] == 0 else name


@dataclass(frozen=True)
class Kind:
    """What all rows of proposals along one grid have in common, worked out once for them."""

    grid: Tensor  # as proposed
    score: bool
    gradient: bool
    times: Tensor  # the same on the CPU, in float64
    nfe: int  # of one row
    mark: bytes  # of the digest
    end: float  # the last time

    @classmethod
    def of(cls, proposal: Proposal, space: NoiseSpace) -> Kind:
        times, score, gradient = proposal.times.double().cpu(), proposal.score, proposal.gradient
        mark = times.numpy().tobytes() + bytes([score, gradient])
        return cls(proposal.times, score, gradient, times, row_nfe(space, proposal), mark, times[-1].item())

    def has(self, proposal: Proposal) -> bool:
        return proposal.times is self.grid and proposal.score == self.score and proposal.gradient == self.gradient


def row_nfe(space: NoiseSpace, proposal: Proposal) -> int:
    """What one row of a proposal costs: twice its calls where a gradient computes them again."""
    return space.nfe(proposal.times, proposal.score) * (2 if proposal.gradient else 1)


class Life:
    """Runs one search until it waits for rows that the journal lacks; the journal is the only way to an answer."""

    def __init__(self, place: int, search: Search, space: NoiseSpace, block: Block, needs: Needs, cap: int) -> None:
        self.place, self.space, self.block, self.needs, self.cap = place, space, block, needs, cap
        self.open_loop = SearchTraits.of(search).open_loop
        self.waiting = 0  # rows asked for and not yet written
        self.closed = False
        self.next_nfe = -1  # when closed: what the next proposal would have cost, -1 where the search ended by itself
        self.rows = 0  # of all proposals, the current one included
        self.spent = 0  # search NFE of the same
        self._rounds = 0
        self._run = search(space)
        self._proposal: Proposal | None = None
        self._kind: Kind | None = None  # of the last proposal
        self._before: Proposal | None = None  # the one before, for what moved since

    def advance(self) -> list[Row]:
        """Takes the search on as far as the journal answers and returns the rows to compute next."""
        while not self.closed:
            proposal = self._next()
            if proposal is not None and (missing := self._missing(proposal)):
                self.waiting += len(missing)
                return missing
        return []

    def find(self, numbers: set[int]) -> dict[int, tuple[Tensor, Tensor]]:
        """The starts (x, times) of some answered rows, by running the search again on the journal's answers."""
        found: dict[int, tuple[Tensor, Tensor]] = {}
        while numbers - found.keys():
            proposal = self._next()
            assert proposal is not None, "the search ended before its winner"
            self._known(self._keys(proposal), self._digests(proposal))
            first = self.rows - len(proposal)
            for number in numbers & set(range(first, self.rows)):
                found[number] = proposal.x[number - first], proposal.times
        self._run.close()
        return found

    def _next(self) -> Proposal | None:
        try:
            if self._proposal is None or self.open_loop:  # an open-loop search is told nothing
                proposal = next(self._run)
            else:
                proposal = self._run.send(self._answer(self._proposal))
        except StopIteration:
            self.closed = True
            return None
        cost = self._kind_of(proposal).nfe * len(proposal)
        if self.spent + cost > self.cap:
            self.closed, self.next_nfe = True, cost
            self._run.close()
            return None
        self._before, self._proposal = self._proposal, proposal
        self.rows += len(proposal)
        self.spent += cost
        self._rounds += 1
        return proposal

    def _kind_of(self, proposal: Proposal) -> Kind:
        if self._kind is None or not self._kind.has(proposal):
            self._kind = Kind.of(proposal, self.space)
        return self._kind

    def _keys(self, proposal: Proposal) -> Keys:
        keys = np.empty((len(proposal), 2), np.int64)
        keys[:, 0], keys[:, 1] = self.place, range(self.rows - len(proposal), self.rows)
        return keys

    def _missing(self, proposal: Proposal) -> list[Row]:
        keys, digests = self._keys(proposal), self._digests(proposal)
        there = self._known(keys, digests)
        for column in self.needs.of(proposal) if there.any() else ():
            there &= self.block.has(column, keys)
        kind = self._kind_of(proposal)
        parents = [-1] * len(keys) if proposal.parents is None else proposal.parents.tolist()
        shared = (self.spent, kind.nfe, kind.nfe // 2 * kind.gradient, self._rounds - 1)
        moved = self._cosines(proposal)
        return [
            Row(
                place=self.place,
                number=int(keys[i, 1]),
                x=proposal.x[i],
                times=kind.times,
                score=kind.score,
                gradient=kind.gradient,
                record=(*shared, parents[i], kind.end, moved[i], int(kind.score), int(digests[i])),
            )
            for i in np.flatnonzero(~there)
        ]

    def _cosines(self, proposal: Proposal) -> list[float]:
        before = self._before
        if before is None or proposal.parents is None or before.times[0] != proposal.times[0]:
            return [math.nan] * len(proposal)
        places = proposal.parents - (self.rows - len(proposal) - len(before))
        inside = places >= 0  # an older parent's start is no longer at hand
        moved = cosine(proposal.x, before.x[places.clamp(min=0)])
        return moved.where(inside, torch.nan).tolist()

    def _answer(self, proposal: Proposal) -> Scored:
        keys = self._keys(proposal)

        def read(name: str) -> Tensor | None:
            if name not in self.needs.reads:
                return None
            return torch.from_numpy(self.block.get(self.needs.source(name, proposal), keys))

        unread = torch.empty(len(keys), 0)
        x, x0 = read("x"), read("x0")
        scores = torch.full((len(keys),), torch.nan)
        if proposal.score:
            scores = torch.from_numpy(self.block.get(self.needs.guiding, keys))
        return Scored(
            x=unread if x is None else x,
            x0=unread if x0 is None else x0,
            scores=scores,
            ids=torch.from_numpy(keys[:, 1].copy()),
            gradient=read("gradient") if proposal.gradient else None,
        )

    def _digests(self, proposal: Proposal) -> np.ndarray:
        mark = self._kind_of(proposal).mark
        rows = proposal.x.detach().cpu().contiguous().numpy()
        sums = [hashlib.blake2b(row.tobytes() + mark, digest_size=8).digest() for row in rows]
        return np.frombuffer(b"".join(sums), np.uint64)

    def _known(self, keys: Keys, digests: np.ndarray) -> np.ndarray:
        """Which rows the journal knows, [n] bool; a ValueError where they were proposed otherwise."""
        if self.rows - len(keys) >= self.block.rows:  # new rows, as most are
            return np.zeros(len(keys), bool)
        known = self.block.has("digest", keys)
        if known.any() and (self.block.get("digest", keys[known]) != digests[known]).any():
            raise ValueError(
                "the search proposes something else than the journal holds for the same stream; "
                "if its code changed, start a new study"
            )
        return known
