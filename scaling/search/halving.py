"""Successive halving over the trajectory: start many noises, finish the promising (as progressive seed pruning)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import branching


@dataclass(frozen=True, kw_only=True)
class Halving:
    """Solves many noises down to each of some times and goes on with the best share of them.

    A rung scores the x0 prediction there, which is one evaluation more; times are moved to the nearest of the grid.
    Candidate k is random search's, and with keep = 1 so is every sample.

    Args:
        candidates: at least 1; set by the budget.
        rungs: falling times in [0, 1].
        keep: share that goes on at each rung, in (0, 1].

    Cost: the sum over legs of the rows that are left x (nfe of the leg, and 1 where it ends at a rung).
    Reads: x, and the order of the scores.
    Source: successive halving (Jamieson and Talwalkar 1502.07943) over the trajectory, as TTSnap 2511.22242 prunes.
    """

    size_parameter: ClassVar[str] = "candidates"
    reads: ClassVar[frozenset[str]] = frozenset({"x"})

    candidates: int = 8
    rungs: Sequence[float] = (0.75, 0.5)
    keep: float = 0.5

    def __post_init__(self) -> None:
        """Checks the parameters."""
        checks.whole_from(1, candidates=self.candidates)
        checks.within(0, 1, keep=self.keep, **{f"rungs[{i}]": t for i, t in enumerate(self.rungs)})
        checks.above(0, keep=self.keep)
        if not all(low < high for high, low in pairwise(self.rungs)):
            raise ValueError(f"rungs={list(self.rungs)} must fall")

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        return sum(rows * space.nfe(leg) for rows, leg in self._legs(space))

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        x, parents = space.start(space.draw("candidate", range(self.candidates))), None
        for rows, leg in self._legs(space):
            if parents is not None:
                kept = branching.best(scored.scores, rows).sort().values
                x, parents = scored.x[kept], scored.ids[kept]
            scored = yield Proposal(x, leg, parents=parents)
            parents = scored.ids

    def _legs(self, space: NoiseSpace) -> Iterator[tuple[int, Float[Tensor, " steps+1"]]]:
        """For each leg: how many go along it, and its part of the whole grid."""
        times = space.times
        stops = {int((times - rung).abs().argmin()) for rung in self.rungs} - {0, len(times) - 1}
        rows = self.candidates
        for start, stop in pairwise([0, *sorted(stops), len(times) - 1]):
            yield rows, times[start : stop + 1]
            rows = max(math.ceil(rows * self.keep), 1)
