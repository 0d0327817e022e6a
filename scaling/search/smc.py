"""Sequential Monte Carlo towards exp(lambda score): FK steering (Singhal et al. 2501.06848)."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.parameters import added
from scaling.protocols import Proposal, Scored, SearchRun
from scaling.search import branching, particles

FK_REPO_LARGEST = math.log(1e10)  # its weights are clamped to 1e10


class Population(NamedTuple):
    """Where a run ended: weighted samples of the tilted law, and the log of its estimated normalizing constant."""

    scored: Scored
    log_weights: Float[Tensor, " k"]
    log_normalizer: float


@dataclass(frozen=True, kw_only=True)
class Smc:
    """Weighs particles of a stochastic sampler by potentials of their x0 predictions, and resamples them.

    They are weighed at step `start` and each `every` after it and at the last, by the prediction that the step makes
    anyhow. Till they are resampled weights are carried.

    Args:
        particles: at least 1; set by the budget.
        potential: exp(lambda (score - the score before)) for `difference`, exp(lambda x the largest score so far) for
            `max`, of the sum so far for `sum`; the last weight sets the latter two right.
        lambda_: of the tilted law exp(lambda score).
        start: share of the steps before the first weighing, in [0, 1].
        every: share of the steps between weighings, in (0, 1].
        resampling: `multinomial` or `systematic`.
        ess: resample where the effective sample size is under this share of the particles, in [0, 1]. None: always.
        eta: of the stochastic step, in (0, 1]; 1 is ancestral.
        compat: `fk_repo` is the public code: it drops the weights of a wait, starts scores at 0, keeps the max at the
            end and resamples after the step, so that copies share its noise.
        tempering: gamma, at least 0: at step i lambda is lambda_ x min((1 + gamma)^i - 1, 1), and lambda_ at the last.
            0: lambda_ throughout.
        funnel: share of the particles that are left after the last resampling, in (0, 1]: each resamples to fewer, by
            one factor. 1: as many throughout.

    Cost: the particles that are there at each step; particles x steps where none are dropped.
    Reads: x0, and the scores' differences.
    Source: Singhal et al. 2501.06848, FK steering; tempering: DAS, Kim et al. 2501.05803; funnel: after 2508.12361.
    """

    size_parameter: ClassVar[str] = "particles"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic", "calibrated"})

    particles: int = 4
    potential: str = "difference"
    lambda_: float = 10.0
    start: float = 0.2
    every: float = 0.2
    resampling: str = "multinomial"
    ess: float | None = 0.5
    eta: float = 1.0
    compat: str | None = None
    tempering: float = added(0.0)
    funnel: float = added(1.0)

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, particles=self.particles)
        checks.one_of(("difference", "max", "sum"), potential=self.potential)
        checks.one_of(("multinomial", "systematic"), resampling=self.resampling)
        checks.within(0, 1, start=self.start, every=self.every, eta=self.eta, ess=1 if self.ess is None else self.ess)
        checks.above(0, every=self.every, eta=self.eta)
        checks.one_of(("fk_repo",), compat=self.compat or "fk_repo")
        checks.within(0, math.inf, tempering=self.tempering)
        checks.within(0, 1, funnel=self.funnel)
        checks.above(0, funnel=self.funnel)
        if self.compat and (self.tempering or self.funnel < 1):
            raise ValueError("compat=fk_repo is the public code, which knows neither tempering nor a funnel")

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        return branching.cost_along(space, self._rows(space))

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        yield from self.run(space)

    def run(self, space: NoiseSpace) -> Generator[Proposal, Scored, Population]:
        """The search, which also returns its weighted population."""
        times, last = space.times, len(space.times) - 2
        weighed, rows = particles.weighing_steps(last + 1, self.start, self.every), self._rows(space)
        x, parents = space.start(space.draw("candidate", range(self.particles))), None
        weights = _Weights(self)
        for i in range(last):
            scored = yield Proposal(x, times[i : i + 1], score=i in weighed, parents=parents)
            kept = torch.arange(len(x))
            if i in weighed:
                weights.weigh(scored.scores, self._share(i))
                kept = weights.resample(space, i, rows[i + 1])
            noise, before, after = space.draw(f"step {i}", range(len(kept))), float(times[i]), float(times[i + 1])
            if self.compat is None:
                x = space.step(x[kept], scored.x0[kept], before, after, noise, self.eta)
            else:
                x = space.step(x, scored.x0, before, after, noise, self.eta)[kept]
            parents = scored.ids[kept]
        scored = yield Proposal(x, times[last:], parents=parents)
        weights.weigh(scored.scores, 1.0, final=True)
        return Population(scored, weights.log, weights.log_normalizer + weights.log_mean())

    def _rows(self, space: NoiseSpace) -> list[int]:
        """How many particles each step evaluates."""
        steps = len(space.times) - 1
        weighings = sorted(particles.weighing_steps(steps, self.start, self.every))
        passed = np.searchsorted(weighings, np.arange(steps))  # before each step
        return [math.ceil(self.particles * self.funnel ** (k / max(len(weighings), 1)) - 1e-9) for k in passed]

    def _share(self, step: int) -> float:
        """Of lambda_ at a step before the last."""
        return min((1 + self.tempering) ** step - 1, 1.0) if self.tempering else 1.0


class _Weights:
    """The log weights since the last resampling, and what the potentials remember of each particle's ancestry."""

    def __init__(self, search: Smc) -> None:
        self.search = search
        self.log = torch.zeros(search.particles, dtype=torch.float64)
        self.log_normalizer = 0.0
        self.past = torch.zeros_like(self.log)  # log of the product of the potentials so far
        unseen = -math.inf if search.potential == "max" and search.compat is None else 0.0
        self.memory = torch.full_like(self.log, unseen)  # the last score, the largest or the sum
        self.share = 1.0  # of lambda at the last weighing

    def weigh(self, scores: Float[Tensor, " k"], share: float, final: bool = False) -> None:
        if not bool(scores.isfinite().all()):
            raise ValueError(f"smc cannot weigh particles by the scores {scores.tolist()}")
        search, scores = self.search, scores.double()
        if search.potential == "difference":
            log_potential, self.memory = search.lambda_ * (share * scores - self.share * self.memory), scores
        else:
            self.memory = torch.maximum(self.memory, scores) if search.potential == "max" else self.memory + scores
            log_potential = search.lambda_ * (share * self.memory)
            if final:
                reached = self.memory if search.compat else scores
                log_potential = search.lambda_ * reached - self.past
        if search.compat:
            log_potential = log_potential.clamp(max=FK_REPO_LARGEST)
        self.log = self.log + log_potential
        self.past = self.past + log_potential
        self.share = share

    def resample(self, space: NoiseSpace, step: int, count: int) -> Int[Tensor, " count"]:
        """Each particle's ancestor: itself where none is dropped and the effective sample size is high enough."""
        search, shares, now = self.search, particles.shares(self.log), len(self.log)
        if count == now and search.ess is not None and particles.effective(shares) >= search.ess * now:
            if search.compat:  # the public code forgets the weights of a wait
                self.past = self.past - self.log
                self.log = torch.zeros_like(self.log)
            return torch.arange(now)
        self.log_normalizer += self.log_mean()
        kept = particles.resample(shares, search.resampling, space.generator("resample", step), count)
        self.past, self.memory, self.log = self.past[kept], self.memory[kept], torch.zeros(count, dtype=torch.float64)
        return kept

    def log_mean(self) -> float:
        """The log of the mean weight."""
        return float(self.log.logsumexp(dim=0)) - math.log(len(self.log))
