"""Modal search: of many half-solved candidates, those whose scores are high and usual are finished."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from scaling import checks, mode
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import branching


@dataclass(frozen=True, kw_only=True)
class Modal:
    """Takes the candidate at the highest mode of the scores, instead of the highest score.

    A model that is more often right than wrong makes right samples that score alike, while what deceives a judge
    scores higher and is rare: the best of many is where the judge errs most, and a mode is not. A candidate counts by
    log p(score) + lambda score, p being the density of all candidates' scores in the middle of their solves, by a
    Gaussian kernel. By that the middle keeps a few, whose last prediction but one decides which is finished. A solve
    of one step has no middle: all are finished, and the best wins.

    Args:
        candidates: at least 1; set by the budget.
        lambda_: how much a unit of the score counts beside the log of the density, at least 0.
        width: of the kernel, in the score's unit, above 0.
        look: share of the steps before the middle, in [0, 1].
        keep: share of the candidates that go on from there, in (0, 1].
        eta: of the stochastic step, in [0, 1]; 1 is ancestral, 0 deterministic.

    Cost: candidates x steps until the middle, keep x candidates after it, 1 at the last step.
    Reads: x0, and the scores' differences.
    Source: this project; a majority's vote as in self-consistency (Wang et al. 2203.11171), on scores.
    """

    size_parameter: ClassVar[str] = "candidates"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic", "calibrated"})

    candidates: int = 4
    lambda_: float = mode.LAMBDA
    width: float = mode.WIDTH
    look: float = 0.45
    keep: float = 0.2
    eta: float = 1.0

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, candidates=self.candidates)
        checks.within(0, math.inf, lambda_=self.lambda_, width=self.width)
        checks.within(0, 1, look=self.look, keep=self.keep, eta=self.eta)
        checks.above(0, width=self.width, keep=self.keep)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        left, rows = self._left(space), [self.candidates]
        for i in range(len(space.times) - 2):
            rows.append(left.get(i, rows[-1]))
        return branching.cost_along(space, rows)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        times, left = space.times, self._left(space)
        x, parents = space.start(space.draw("candidate", range(self.candidates))), None
        usual = None  # the scores of all candidates in the middle
        for i in range(len(times) - 2):
            scored = yield Proposal(x, times[i : i + 1], score=i in left, parents=parents)
            kept = torch.arange(len(x))
            if i in left:
                scores = scored.scores.double().numpy()
                usual = scores if usual is None else usual
                heights = mode.heights(scores, usual, self.width, self.lambda_)
                kept = branching.best(torch.from_numpy(heights), left[i])
            noise = space.draw(f"step {i}", range(len(kept)))
            x = space.step(x[kept], scored.x0[kept], float(times[i]), float(times[i + 1]), noise, self.eta)
            parents = scored.ids[kept]
        yield Proposal(x, times[-2:], parents=parents)

    def _left(self, space: NoiseSpace) -> dict[int, int]:
        """How many are left after the steps that are judged: the middle and the last but one, where there are both."""
        last = len(space.times) - 3
        some = max(math.ceil(self.keep * self.candidates - 1e-9), 1)
        return {min(round(self.look * (last + 2)), last): some, last: 1} if last >= 0 else {}
