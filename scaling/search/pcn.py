"""Preconditioned Crank-Nicolson: a Markov chain over the noise whose law is the Gaussian's tilted by the score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import torch

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun


@dataclass(frozen=True, kw_only=True)
class Pcn:
    """Moves each of several noises to rho x + sqrt(1 - rho^2) e and accepts by Metropolis' rule.

    The move keeps the Gaussian's law, so that accepting with min(1, exp((score' - score) / temperature)) has
    exp(score / temperature) times the Gaussian as its stationary law, whatever rho.

    Args:
        chains: side by side, at least 1.
        rho: cosine of a move to where it starts, in [0, 1); 0 draws fresh noises.
        temperature: of the score, above 0; 0 accepts what is not worse.

    Cost: chains x nfes_per_iter a move, the first noises included; anytime.
    Reads: the scores' differences.
    Source: Cotter et al. 1202.0709, section 4.2; without the gradients of psi-Sampler 2506.01320.
    """

    reads: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[frozenset[str]] = frozenset({"calibrated"})

    chains: int = 1
    rho: float = 0.9
    temperature: float = 0.1

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, chains=self.chains)
        checks.within(0, 1, rho=self.rho)
        checks.within(0, math.inf, temperature=self.temperature)
        if self.rho == 1:
            raise ValueError("rho=1 moves nothing; it must be less than 1")

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        x = space.draw("candidate", range(self.chains))
        scored = yield Proposal(space.start(x), space.times)
        scores, parents = scored.scores, scored.ids
        for move in count():
            fresh = space.draw(f"move {move}", range(self.chains))
            moved = self.rho * x + math.sqrt(1 - self.rho**2) * fresh
            scored = yield Proposal(space.start(moved), space.times, parents=parents)
            rng = space.generator("accept", move)
            level = torch.tensor([math.log1p(-rng.random()) for _ in range(self.chains)])  # log of U(0, 1]
            accepted = scored.scores - scores >= self.temperature * level
            x = torch.where(accepted.view(-1, *[1] * (x.ndim - 1)), moved, x)
            scores, parents = torch.where(accepted, scored.scores, scores), torch.where(accepted, scored.ids, parents)
