"""Soft halving: many noises started, pruned softly by the worst score so far, and one of them finished."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import branching


@dataclass(frozen=True, kw_only=True)
class SoftHalving:
    """Prunes candidates on their way by chance, in proportion to exp(worst score so far / temperature).

    A rung scores the x0 prediction that the step there makes anyhow. A candidate counts by the least of its scores at
    all rungs, since what exploits a judge seldom does so at every noise level; a share `keep` is drawn without
    replacement; at the last rung the best one is taken and finished, so that no final score is exploited either.

    Args:
        candidates: at least 1; set by the budget.
        rungs: falling times in [0, 1].
        keep: share that goes on at each rung but the last, in (0, 1].
        temperature: of the score, at least 0; 0 keeps the best.

    Cost: the rows that are there at each step.
    Reads: x and x0, and the scores' differences.
    Source: this project; successive halving (1502.07943) with Gumbel top-k (Kool et al. 1903.06059).
    """

    size_parameter: ClassVar[str] = "candidates"
    reads: ClassVar[frozenset[str]] = frozenset({"x", "x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic", "calibrated"})

    candidates: int = 8
    rungs: Sequence[float] = (0.7, 0.5, 0.3, 0.1)
    keep: float = 0.5
    temperature: float = 0.6

    def __post_init__(self) -> None:
        """Checks the parameters."""
        checks.whole_from(1, candidates=self.candidates)
        checks.within(0, 1, keep=self.keep, **{f"rungs[{i}]": t for i, t in enumerate(self.rungs)})
        checks.above(0, keep=self.keep)
        checks.within(0, math.inf, temperature=self.temperature)
        if not self.rungs or not all(low < high for high, low in pairwise(self.rungs)):
            raise ValueError(f"rungs={list(self.rungs)} must fall")

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        nfe, rows, start = 0, self.candidates, -1
        for stop in self._stops(space):
            nfe, rows, start = nfe + rows * (stop - start), self._left(rows, space, stop), stop
        return nfe + rows * (len(space.times) - 2 - start)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        times, start = space.times, 0
        x, parents = space.start(space.draw("candidate", range(self.candidates))), None
        worst = torch.full((self.candidates,), torch.inf, dtype=torch.float64)
        for stop in self._stops(space):
            if stop > start:
                scored = yield Proposal(x, times[start : stop + 1], score=False, parents=parents)
                x, parents = scored.x, scored.ids
            scored = yield Proposal(x, times[stop : stop + 1], parents=parents)
            worst = torch.minimum(worst, scored.scores.double())
            kept = self._kept(worst, space, stop)
            before, start = float(times[stop]), stop + 1
            x = space.step(scored.x[kept], scored.x0[kept], before, float(times[start]), eta=0.0)
            worst, parents = worst[kept], scored.ids[kept]
        yield Proposal(x, times[start:], parents=parents)

    def _stops(self, space: NoiseSpace) -> list[int]:
        """Where on the grid the rungs are; a step must be left after the last."""
        nearest = {int((space.times - rung).abs().argmin()) for rung in self.rungs}
        return sorted(stop for stop in nearest if stop < len(space.times) - 2)

    def _left(self, rows: int, space: NoiseSpace, stop: int) -> int:
        return 1 if stop == self._stops(space)[-1] else max(math.ceil(rows * self.keep), 1)

    def _kept(self, worst: Float[Tensor, " n"], space: NoiseSpace, stop: int) -> Int[Tensor, " kept"]:
        count, values = self._left(len(worst), space, stop), worst
        if self.temperature and stop != self._stops(space)[-1]:
            draws: np.ndarray = space.generator("prune", stop).gumbel(size=len(worst))
            values = worst / self.temperature + torch.from_numpy(draws)
        return branching.best(values, count).sort().values
