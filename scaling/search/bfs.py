"""Breadth-first search: particles resampled in proportion to their scores (Zhang et al. 2505.23614)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import branching, particles


@dataclass(frozen=True, kw_only=True)
class Bfs:
    """Gives each particle round(particles x softmax(tau x score of its x0 prediction)) descendants, without chance.

    The list of descendants is repeated or cut to the number of particles.

    Args:
        particles: at least 1; set by the budget.
        tau: factor of the scores before the softmax, above 0.
        schedule: of tau: `constant`, or `increase` (the public code), which follows (alpha_t / alpha_s)^2 of each step
            around that mean.
        start: share of the steps before the first weighing, in [0, 1].
        every: share of the steps between weighings, in (0, 1].
        eta: of the stochastic step, in (0, 1]; 1 is ancestral.

    Cost: particles x steps.
    Reads: x0, and the scores' differences.
    Source: Zhang et al. 2505.23614, BFS.
    """

    size_parameter: ClassVar[str] = "particles"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic", "calibrated"})

    particles: int = 4
    tau: float = 1.0
    schedule: str = "constant"
    start: float = 0.2
    every: float = 0.2
    eta: float = 1.0

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, particles=self.particles)
        checks.above(0, tau=self.tau, every=self.every, eta=self.eta)
        checks.one_of(("constant", "increase"), schedule=self.schedule)
        checks.within(0, 1, start=self.start, every=self.every, eta=self.eta)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        return branching.cost(space, self.particles)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        times, last = space.times, len(space.times) - 2
        weighed = particles.weighing_steps(last + 1, self.start, self.every)
        tau = self._taus(space)
        x, parents = space.start(space.draw("candidate", range(self.particles))), None
        for i in range(last):
            scored = yield Proposal(x, times[i : i + 1], score=i in weighed, parents=parents)
            kept = torch.arange(self.particles)
            if i in weighed:
                kept = particles.descendants(particles.shares(tau[i] * scored.scores.double()))
            noise = space.draw(f"step {i}", range(self.particles))
            x = space.step(x[kept], scored.x0[kept], float(times[i]), float(times[i + 1]), noise, self.eta)
            parents = scored.ids[kept]
        yield Proposal(x, times[last:], parents=parents)

    def _taus(self, space: NoiseSpace) -> Float[Tensor, " steps"]:
        alpha = space.schedule.alpha(space.times)
        ratio = (alpha[:-1] / alpha[1:]) ** 2 if self.schedule == "increase" else torch.ones(len(alpha) - 1)
        return self.tau * ratio / ratio.mean()
