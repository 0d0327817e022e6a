"""Successive halving over the trajectory: start many noises, finish the promising (as progressive seed pruning)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.parameters import added
from scaling.protocols import Proposal, SearchRun
from scaling.search import branching


@dataclass(frozen=True, kw_only=True)
class Halving:
    """Solves many noises down to each of some times and goes on with the best share of them.

    A rung scores the x0 prediction there; times are moved to the nearest of the grid. Candidate k is random search's,
    and with keep = 1 so is every sample.

    Args:
        candidates: at least 1; set by the budget.
        rungs: falling times in [0, 1].
        keep: share that goes on at each rung, in (0, 1].
        reuse: whether a rung's prediction is the one that the next step makes anyhow, which those that go on then take
            by the search itself (Euler). Else it is one evaluation more.
        by: `score`, or `guidance_gap`: the squared difference of the noise predicted with and without the condition,
            summed over all steps so far, which a model with guidance knows without any evaluation, decoding or judge.

    Cost: the sum over legs of the rows that are left x (nfe of the leg, and 1 where it ends at a rung); by the gap
        without the 1. With `reuse` a row costs the steps that it makes.
    Reads: x, and the order of the scores; with `reuse` also x0; by the gap x and the gap.
    Source: successive halving (Jamieson and Talwalkar 1502.07943) over the trajectory, as TTSnap 2511.22242 prunes; by
        the guidance gap: CFG-Rejection 2505.23343.
    """

    size_parameter: ClassVar[str] = "candidates"

    candidates: int = 8
    rungs: Sequence[float] = (0.75, 0.5)
    keep: float = 0.5
    reuse: bool = added(False)
    by: str = added("score")

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, candidates=self.candidates)
        checks.within(0, 1, keep=self.keep, **{f"rungs[{i}]": t for i, t in enumerate(self.rungs)})
        checks.above(0, keep=self.keep)
        checks.one_of(("score", "guidance_gap"), by=self.by)
        if not all(low < high for high, low in pairwise(self.rungs)):
            raise ValueError(f"rungs={list(self.rungs)} must fall")
        if self.reuse and self.by != "score":
            raise ValueError(f"reuse=true spares the evaluation that a score needs; by={self.by} needs none")

    @property
    def reads(self) -> frozenset[str]:
        """Which answers it reads."""
        return frozenset({"x", "x0"} if self.reuse else {"x"} if self.by == "score" else {"x", "gap"})

    @property
    def requires(self) -> frozenset[str]:
        """What must be there."""
        return frozenset({"stochastic"} if self.reuse else () if self.by == "score" else {"guidance"})

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        legs = list(self._legs(space))
        if self.reuse:  # the rows of a leg also make the step after it, those of the last one have made its first
            steps = [len(leg) - 1 for _, leg in legs]
            steps[0] += 1
            steps[-1] -= 1
            return sum(rows * nfe for (rows, _), nfe in zip(legs, steps, strict=True))
        return sum(rows * space.nfe(leg, score=self.by == "score") for rows, leg in legs)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        return self._in_passing(space) if self.reuse else self._solved(space)

    def _solved(self, space: NoiseSpace) -> SearchRun:
        x, parents = space.start(space.draw("candidate", range(self.candidates))), None
        gap = torch.zeros(self.candidates)
        for rows, leg in self._legs(space):
            if parents is not None:
                kept = branching.best(scored.scores if self.by == "score" else gap, rows).sort().values
                x, parents, gap = scored.x[kept], scored.ids[kept], gap[kept]
            scored = yield Proposal(x, leg, score=self.by == "score" or float(leg[-1]) == 0, parents=parents)
            parents = scored.ids
            if scored.gap is not None:
                gap = gap + scored.gap

    def _in_passing(self, space: NoiseSpace) -> SearchRun:
        """At a rung a single time is asked for, whose x0 is judged and then steps on."""
        x, parents = space.start(space.draw("candidate", range(self.candidates))), None
        *legs, last = self._legs(space)
        for (_, leg), (rows, after) in pairwise([*legs, last]):
            begin = 0 if parents is None else 1
            if len(leg) > begin + 1:  # its first step has been made at the rung
                scored = yield Proposal(x, leg[begin:], score=False, parents=parents)
                x, parents = scored.x, scored.ids
            scored = yield Proposal(x, after[:1], parents=parents)
            kept = branching.best(scored.scores, rows).sort().values
            x = space.step(scored.x[kept], scored.x0[kept], float(after[0]), float(after[1]), eta=0.0)
            parents = scored.ids[kept]
        yield Proposal(x, last[1][0 if parents is None else 1 :], parents=parents)

    def _legs(self, space: NoiseSpace) -> Iterator[tuple[int, Float[Tensor, " times"]]]:
        """For each leg: how many go along it, and its part of the whole grid."""
        times = space.times
        end = len(times) - 1
        stops = {int((times - rung).abs().argmin()) for rung in self.rungs} - {0, end}
        if self.reuse:
            stops -= {end - 1}  # who goes on from there is clean at once, and a clean sample is scored by a step to it
        rows = self.candidates
        for start, stop in pairwise([0, *sorted(stops), end]):
            yield rows, times[start : stop + 1]
            rows = max(math.ceil(rows * self.keep), 1)
