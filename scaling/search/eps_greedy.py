"""Epsilon-greedy search over the noise of every step (noise-trajectory search, Ramesh and Mardani 2506.03164)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun


@dataclass(frozen=True, kw_only=True)
class EpsGreedy:
    """Improves the noise of each step, judged by the child's x0 prediction.

    A candidate is fresh with probability `eps`, else the pivot plus U(0, reach) sqrt(2 d) times a random direction. The
    last round's best child is where the next step begins.

    Args:
        rounds: of each step, at least 1; set by the budget.
        neighbors: candidates of a round, at least 1.
        eps: chance of a fresh candidate, in [0, 1].
        reach: largest distance to the pivot in units of sqrt(2 d), above 0.
        pivot: `move` makes the round's best the pivot, as the paper; `keep` the best of all rounds.
        eta: of the stochastic step, in (0, 1]; 1 is ancestral.

    Cost: 1 + rounds x neighbors x (steps - 1).
    Reads: x0, and the order of the scores.
    Source: Ramesh and Mardani 2506.03164, noise-trajectory search.
    """

    size_parameter: ClassVar[str] = "rounds"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic"})

    rounds: int = 20
    neighbors: int = 4
    eps: float = 0.4
    reach: float = 0.15
    pivot: str = "move"
    eta: float = 1.0

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, rounds=self.rounds, neighbors=self.neighbors)
        checks.within(0, 1, eps=self.eps, eta=self.eta)
        checks.above(0, reach=self.reach, eta=self.eta)
        checks.one_of(("move", "keep"), pivot=self.pivot)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition; a ValueError where it has fewer than 2 steps."""
        times = space.times
        if len(times) < 3:
            raise ValueError(
                f"eps_greedy needs at least 2 steps; nfes_per_iter={space.nfes_per_iter} gives {len(times) - 1}"
            )
        return 1 + self.rounds * self.neighbors * (len(times) - 3 + space.nfe(times[-2:]))

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        times, last = space.times, len(space.times) - 2
        self.cost(space)
        x = space.start(space.draw("candidate", 0))
        scored = yield Proposal(x, times[:1], score=False)
        x0, parent = scored.x0, scored.ids
        for i in range(last):
            best, pivot = -math.inf, space.draw(f"step {i}", 0)
            here, there = float(times[i]), float(times[i + 1])
            below = times[i + 1 : i + 2] if i < last - 1 else times[i + 1 :]
            for round in range(self.rounds):
                noises = self._candidates(space, f"step {i} round {round}", pivot)
                children = space.step(x, x0, here, there, noises, self.eta)
                scored = yield Proposal(children, below, parents=parent.repeat(self.neighbors))
                k = int(scored.scores.argmax())
                if self.pivot == "move" or scored.scores[k] > best:
                    best, pivot = float(scored.scores[k]), noises[k : k + 1]
                    chosen = children[k : k + 1], scored.x0[k : k + 1], scored.ids[k : k + 1]
            x, x0, parent = chosen

    def _candidates(self, space: NoiseSpace, name: str, pivot: Tensor) -> Float[Tensor, "neighbors *latent"]:
        noises = space.draw(name, range(self.neighbors))
        rng = space.generator(f"{name} choices", 0)
        for k in range(self.neighbors):
            fresh, length = rng.random() < self.eps, rng.random() * self.reach * math.sqrt(2 * pivot.numel())
            if not fresh:
                noises[k] = pivot[0] + length * noises[k] / noises[k].norm()
        return noises
