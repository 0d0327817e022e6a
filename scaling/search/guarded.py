"""Guarded search: particles resampled softly by their worst score so far, and one of them finished."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import branching, particles


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """Resamples the particles of a stochastic sampler by the worst score that each has had, and finishes one.

    A particle counts by the least of the scores of its x0 predictions at all weighings, since what deceives a judge
    seldom does so at every noise level: it is tilted by exp(worst / temperature), never by the latest score alone. At
    the last weighing the best of them is taken; fresh noise in the steps after it leaves the judge nothing to be
    deceived by once more, and no final score is chosen by.

    Args:
        particles: at least 1; set by the budget.
        temperature: of the score, above 0.
        start: share of the steps before the first weighing, in [0, 1].
        every: share of the steps between weighings, in (0, 1].
        eta: of the stochastic step, in (0, 1]; 1 is ancestral.

    Cost: particles x steps until the last weighing, and 1 a step after it.
    Reads: x0, and the scores' differences.
    Source: this project; on particles as in Singhal et al. 2501.06848.
    """

    size_parameter: ClassVar[str] = "particles"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic", "calibrated"})

    particles: int = 4
    temperature: float = 0.5
    start: float = 0.2
    every: float = 0.2
    eta: float = 1.0

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, particles=self.particles)
        checks.within(0, math.inf, temperature=self.temperature)
        checks.within(0, 1, start=self.start, every=self.every, eta=self.eta)
        checks.above(0, temperature=self.temperature, every=self.every, eta=self.eta)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        end, weighings = len(space.times) - 2, self._weighings(space)
        rows = [1 if weighings and i > weighings[-1] else self.particles for i in range(end + 1)]
        return branching.cost_along(space, rows)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        times, end, weighings = space.times, len(space.times) - 2, self._weighings(space)
        x, parents = space.start(space.draw("candidate", range(self.particles))), None
        worst = torch.full((self.particles,), torch.inf, dtype=torch.float64)
        before = torch.zeros_like(worst)  # what a particle's copies have been weighed by
        for i in range(end):
            scored = yield Proposal(x, times[i : i + 1], score=i in weighings, parents=parents)
            kept = torch.arange(len(x))
            if i in weighings:
                worst = torch.minimum(worst, scored.scores.double())
                kept = branching.best(worst, 1) if i == weighings[-1] else self._resampled(worst - before, space, i)
                worst = before = worst[kept]
            noise = space.draw(f"step {i}", range(len(kept)))
            x = space.step(x[kept], scored.x0[kept], float(times[i]), float(times[i + 1]), noise, self.eta)
            parents = scored.ids[kept]
        yield Proposal(x, times[end:], parents=parents)

    def _weighings(self, space: NoiseSpace) -> list[int]:
        return sorted(particles.weighing_steps(len(space.times) - 1, self.start, self.every))

    def _resampled(self, gained: Float[Tensor, " n"], space: NoiseSpace, step: int) -> Int[Tensor, " n"]:
        weights = particles.shares(gained / self.temperature)
        return particles.resample(weights, "systematic", space.generator("resample", step))
