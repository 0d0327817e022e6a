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
    """Gives each of `particles` round(particles x softmax(tau x score of its x0 prediction)) descendants.

    It does so at step `start` and each `every` after it (shares of all steps), without chance; the list is repeated or
    cut to the number of particles. tau is constant, or (`increase`, the public code) follows (alpha_t / alpha_s)^2 of
    each step around that mean. Cost: particles x steps.
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
        checks.whole_from(1, particles=self.particles)
        checks.above(0, tau=self.tau, every=self.every, eta=self.eta)
        checks.one_of(("constant", "increase"), schedule=self.schedule)
        checks.within(0, 1, start=self.start, every=self.every, eta=self.eta)

    def cost(self, space: NoiseSpace) -> int:
        return branching.cost(space, self.particles)

    def __call__(self, space: NoiseSpace) -> SearchRun:
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
