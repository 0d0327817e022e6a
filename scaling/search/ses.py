"""SES: cross-entropy search over the low frequencies of the noise (2602.03208)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import branching


@dataclass(frozen=True, kw_only=True)
class Ses:
    """Searches the mean and spread of the noise's low frequencies by the best candidates so far; details stay.

    Coefficients c of `levels` Haar transforms are drawn from N(mean, deviation^2), first N(0, 1); mean and deviation
    become those of the best `elites` candidates ever. The details are those of draw 0. A latent that cannot be halved
    so often, or is no picture, is halved as often as its last two sides allow.

    Args:
        generation: candidates of a generation, at least 2.
        elites: at least 2 and at most a generation.
        levels: of the transform, at least 0; at 4 a coefficient speaks for 16 x 16 entries, at 0 for one.

    Cost: nfes_per_iter a candidate; anytime.
    Reads: the order of the scores.
    Source: 2602.03208, SES; the public code's 10, 5 and 4 are the defaults.
    """

    reads: ClassVar[frozenset[str]] = frozenset()

    generation: int = 10
    elites: int = 5
    levels: int = 4

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(2, generation=self.generation, elites=self.elites)
        checks.within(2, self.generation, elites=self.elites)
        checks.whole_from(0, levels=self.levels)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        first = space.draw("candidate", 0)
        side = self._side(space.shape)
        low = coefficients(first, side)
        details = first - spread(low, side)
        mean, deviation = torch.zeros_like(low), torch.ones_like(low)
        kept, scores, ids = low[:0], torch.empty(0), torch.empty(0, dtype=torch.long)
        for number in count():
            draws = coefficients(space.draw(f"generation {number}", range(self.generation)), side)
            low = torch.cat([low, draws[1:]]) if number == 0 else mean + deviation * draws
            parents = None if number == 0 else ids[:1].expand(self.generation)
            noises = details + spread(low, side)
            if number == 0:
                noises[0] = first[0]  # to the last bit
            scored = yield Proposal(space.start(noises), space.times, parents=parents)
            kept = torch.cat([kept, low])
            scores, ids = torch.cat([scores, scored.scores]), torch.cat([ids, scored.ids])
            best = branching.best(scores, self.elites)
            kept, scores, ids = kept[best], scores[best], ids[best]
            mean, deviation = kept.mean(0, keepdim=True), (kept.var(0, keepdim=True) + 1e-7).sqrt()

    def _side(self, shape: tuple[int, ...]) -> int:
        """How many entries a coefficient spans on each of the last two sides."""
        side = 1
        for _ in range(self.levels):
            if len(shape) < 2 or any(length % (2 * side) for length in shape[-2:]):
                break
            side *= 2
        return side


def coefficients(noise: Float[Tensor, "n *latent"], side: int) -> Float[Tensor, "n *coarse"]:
    """The Haar approximation: sums over squares of this side, divided by it, so that unit Gaussians stay so."""
    if side == 1:
        return noise
    *front, height, width = noise.shape
    return noise.reshape(*front, height // side, side, width // side, side).sum(dim=(-3, -1)) / side


def spread(low: Float[Tensor, "n *coarse"], side: int) -> Float[Tensor, "n *latent"]:
    """The noise that has these coefficients and no details."""
    if side == 1:
        return low
    return low.repeat_interleave(side, -2).repeat_interleave(side, -1) / side
