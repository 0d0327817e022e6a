"""One search on one condition: it proposes, the journal answers, and what is missing there is asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scaling.engine import checks
from scaling.engine.made_up import row_nfe
from scaling.engine.requests import Charge, Request
from scaling.journal.block import Block, Keys
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, Scored, Search
from scaling.search.geometry import cosine
from scaling.traits import SearchTraits


@dataclass(frozen=True)
class AnswerColumns:
    """Which columns of the journal an answered candidate must have."""

    guide: str  # of the score that the search is told
    scores: tuple[str, ...]  # all score columns that are recorded
    reads: frozenset[str]  # of {"x", "x0", "gradient", "gap"}: what the search reads besides

    def of(self, proposal: Proposal) -> list[str]:
        """The columns that hold the answer to a proposal."""
        tensors = {self.source(name, proposal) for name in self.reads if name != "gradient" or proposal.gradient}
        return ["spent", *(self.scores if proposal.score else ()), *sorted(tensors)]

    @staticmethod
    def source(name: str, proposal: Proposal) -> str:
        """The column that answers `x`, `x0` or `gradient`: of a clean sample x and x0 are one, its latents."""
        return "latents" if name in ("x", "x0") and proposal.times[-1] == 0 else name


@dataclass(frozen=True)
class Leg:
    """What all proposals along one grid of times have in common, worked out once for them."""

    grid: Tensor  # as proposed
    score: bool
    gradient: bool
    times: Tensor  # the same on the CPU, in float64
    nfe: int  # of one row
    digested: bytes  # its part of a proposal's digest
    end: float  # the last time

    @classmethod
    def of(cls, proposal: Proposal, times: Tensor, space: NoiseSpace) -> Leg:
        """The leg of a proposal, its times made sure to be float64 on the CPU beforehand."""
        score, gradient = proposal.score, proposal.gradient
        digested = times.numpy().tobytes() + bytes([score, gradient])
        return cls(proposal.times, score, gradient, times, row_nfe(space, proposal), digested, times[-1].item())

    def has(self, proposal: Proposal) -> bool:
        """Whether a proposal takes this very leg: the same grid, scored and differentiated alike."""
        return proposal.times is self.grid and proposal.score == self.score and proposal.gradient == self.gradient


class Episode:
    """Runs one search until it waits for candidates that the journal lacks, its only way to an answer."""

    def __init__(
        self,
        search: Search,
        space: NoiseSpace,
        table: Block,
        columns: AnswerColumns,
        condition_index: int,
        nfe: int,
        name: str = "",
    ) -> None:
        """`nfe` is what the search may spend; `name` is that of the condition, for errors."""
        self.condition_index, self.space, self.nfe = condition_index, space, nfe
        self.table, self.columns = table, columns
        self.open_loop = SearchTraits.of(search).open_loop
        self.waiting = 0  # candidates that were asked for and are not yet written
        self.closed = False
        self.next_nfe = -1  # when closed: what the next proposal would have cost, -1 where the search ended by itself
        self.candidates = 0  # of all proposals, the current one included
        self.spent = 0  # search NFE of the same
        self._rounds = 0
        self._search, self._name = getattr(search, "__qualname__", type(search).__qualname__), name
        self._run = search(space)
        self._proposal: Proposal | None = None
        self._leg: Leg | None = None  # of the last proposal
        self._before: Proposal | None = None  # the one before, for what moved since

    def advance(self) -> list[Request]:
        """Takes the search on as far as the journal answers and returns the candidates to compute next."""
        while not self.closed:
            proposal = self._next()
            if proposal is not None and (missing := self._missing(proposal)):
                self.waiting += len(missing)
                return missing
        return []

    def replay(self, candidate_ids: set[int]) -> dict[int, Request]:
        """Requests for some answered candidates, by running the search again on the journal's answers."""
        requests: dict[int, Request] = {}
        while candidate_ids - requests.keys():
            proposal = self._next()
            assert proposal is not None, "the search ended before its winner"
            self._answered(self._keys(proposal), self._digests(proposal))
            first, times = self.candidates - len(proposal), self._leg_of(proposal).times
            for candidate_id in candidate_ids & set(range(first, self.candidates)):
                x = proposal.x[candidate_id - first]
                requests[candidate_id] = Request(self.condition_index, candidate_id, x, times)
        self._run.close()
        return requests

    def _next(self) -> Proposal | None:
        """The next proposal that is within the budget; None where the search has ended or was closed."""
        try:
            if self._proposal is None or self.open_loop:  # an open-loop search is told nothing
                yielded = next(self._run)
            else:
                yielded = self._run.send(self._answer(self._proposal))
        except StopIteration:
            self.closed = True
            return None
        proposal = checks.proposal(self._search, yielded, self.space.shape, self.candidates, self._name)
        cost = self._leg_of(proposal).nfe * len(proposal)
        if self.spent + cost > self.nfe:
            self.closed, self.next_nfe = True, cost
            self._run.close()
            return None
        self._before, self._proposal = self._proposal, proposal
        self.candidates += len(proposal)
        self.spent += cost
        self._rounds += 1
        return proposal

    def _leg_of(self, proposal: Proposal) -> Leg:
        if self._leg is None or not self._leg.has(proposal):
            times = checks.times(self._search, proposal, f"{self._name}, candidate {self.candidates}")
            self._leg = Leg.of(proposal, times, self.space)
        return self._leg

    def _keys(self, proposal: Proposal) -> Keys:
        keys = np.empty((len(proposal), 2), np.int64)
        keys[:, 0], keys[:, 1] = self.condition_index, range(self.candidates - len(proposal), self.candidates)
        return keys

    def _missing(self, proposal: Proposal) -> list[Request]:
        keys, digests = self._keys(proposal), self._digests(proposal)
        answered = self._answered(keys, digests)
        for column in self.columns.of(proposal) if answered.any() else ():
            answered &= self.table.has(column, keys)
        missing = np.flatnonzero(~answered).tolist()
        if not missing:
            return []
        leg, charges = self._leg_of(proposal), self._charges(proposal, digests)
        return [
            Request(
                condition_index=self.condition_index,
                candidate_id=int(keys[i, 1]),
                x=proposal.x[i].detach(),
                times=leg.times,
                score=leg.score,
                gradient=leg.gradient,
                charge=charges[i],
            )
            for i in missing
        ]

    def _charges(self, proposal: Proposal, digests: np.ndarray) -> list[Charge]:
        leg = self._leg_of(proposal)
        parents = [-1] * len(proposal) if proposal.parents is None else proposal.parents.tolist()
        return [
            Charge(
                spent=self.spent,
                nfe=leg.nfe,
                backward=leg.nfe // 2 * leg.gradient,
                round=self._rounds - 1,
                parent=parent,
                t=leg.end,
                cosine=moved,
                scored=int(leg.score),
                digest=int(digest),
            )
            for parent, moved, digest in zip(parents, self._cosines(proposal), digests, strict=True)
        ]

    def _cosines(self, proposal: Proposal) -> Sequence[float]:
        before = self._before
        if before is None or proposal.parents is None or before.times[0] != proposal.times[0]:
            return [math.nan] * len(proposal)
        rows = proposal.parents - (self.candidates - len(proposal) - len(before))
        inside = rows >= 0  # an older parent's start is no longer at hand
        moved = cosine(proposal.x, before.x[rows.clamp(min=0)])
        return moved.where(inside, torch.nan).tolist()

    def _answer(self, proposal: Proposal) -> Scored:
        keys = self._keys(proposal)

        def read(name: str) -> Tensor | None:
            if name not in self.columns.reads:
                return None
            return torch.from_numpy(self.table.get(self.columns.source(name, proposal), keys))

        unread = torch.empty(len(keys), 0)
        x, x0 = read("x"), read("x0")
        scores = torch.full((len(keys),), torch.nan)
        if proposal.score:
            scores = torch.from_numpy(self.table.get(self.columns.guide, keys))
        return Scored(
            x=unread if x is None else x,
            x0=unread if x0 is None else x0,
            scores=scores,
            ids=torch.from_numpy(keys[:, 1].copy()),
            gradient=read("gradient") if proposal.gradient else None,
            gap=read("gap"),
        )

    def _digests(self, proposal: Proposal) -> np.ndarray:
        digested = self._leg_of(proposal).digested
        rows = proposal.x.detach().cpu().contiguous().numpy()
        sums = [hashlib.blake2b(row.tobytes() + digested, digest_size=8).digest() for row in rows]
        return np.frombuffer(b"".join(sums), np.uint64)

    def _answered(self, keys: Keys, digests: np.ndarray) -> np.ndarray:
        """Which candidates the journal has, [n] bool; a ValueError where they were proposed otherwise."""
        if self.candidates - len(keys) >= self.table.rows:  # new ones, as most are
            return np.zeros(len(keys), bool)
        answered = self.table.has("digest", keys)
        if answered.any() and (self.table.get("digest", keys[answered]) != digests[answered]).any():
            raise ValueError(
                f"search {self._search} proposes something else than the journal holds of it: it draws from what is "
                f"not keyed, or its code changed unnoticed; to compute it anew, delete {self.table.folder.parent}"
            )
        return answered
