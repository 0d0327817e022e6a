"""Depth-first search: go back where a prediction falls short (Zhang et al. 2505.23614)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import torch
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import particles


@dataclass(frozen=True, kw_only=True)
class Dfs:
    """Samples one noise after the other, and goes back up where a prediction falls short.

    When the backtracks of a descent are spent, it goes on from the best that the descent saw at that step.

    Args:
        backtracks: of a descent, at least 0.
        threshold: of the score of an x0 prediction. None: the median of all that was seen at that step before.
        depth: share of the steps that a backtrack renoises, in (0, 1].
        start: share of the steps before the first look, in [0, 1].
        every: share of the steps between looks, in (0, 1].
        eta: of the stochastic step, in [0, 1]; 1 is ancestral.

    Cost of a descent: steps, and for each backtrack the steps it goes up and its look; anytime.
    Reads: x0, and the order of the scores (with a threshold: the scores).
    Source: Zhang et al. 2505.23614, DFS.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic"})

    backtracks: int = 4
    threshold: float | None = None
    depth: float = 0.4
    start: float = 0.4
    every: float = 0.2
    eta: float = 1.0

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(0, backtracks=self.backtracks)
        checks.within(0, 1, depth=self.depth, start=self.start, every=self.every, eta=self.eta)
        checks.above(0, depth=self.depth, every=self.every)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        seen: dict[int, list[float]] = defaultdict(list)
        for descent in count():
            yield from self._descend(space, descent, seen)

    def _descend(self, space: NoiseSpace, descent: int, seen: dict[int, list[float]]) -> SearchRun:
        times, last = space.times, len(space.times) - 2
        judged = particles.weighing_steps(last + 1, self.start, self.every)
        back, left, draws = max(round(self.depth * (last + 1)), 1), self.backtracks, count()
        best: dict[int, tuple[float, Tensor, Tensor, Tensor]] = {}
        x, parents, i = space.start(space.draw("candidate", descent)), None, 0
        while i < last:
            scored = yield Proposal(x, times[i : i + 1], score=i in judged, parents=parents)
            x0, parents = scored.x0, scored.ids
            if i in judged:
                score = float(scored.scores[0])
                threshold = self._threshold(seen[i])
                seen[i].append(score)
                if i not in best or score > best[i][0]:
                    best[i] = score, x, x0, parents
                if score < threshold and left:
                    left, up = left - 1, max(i - back, 0)
                    noise = space.draw(f"descent {descent}", next(draws))
                    x = space.renoise(x, float(times[i]), float(times[up]), noise) if up else space.start(noise)
                    i = up
                    continue
                if score < threshold:
                    _, x, x0, parents = best[i]
            noise = space.draw(f"descent {descent}", next(draws))
            x = space.step(x, x0, float(times[i]), float(times[i + 1]), noise, self.eta)
            i += 1
        yield Proposal(x, times[last:], parents=parents)

    def _threshold(self, seen: list[float]) -> float:
        if self.threshold is not None:
            return self.threshold
        return float(torch.tensor(seen).median()) if seen else float("-inf")
