"""Trust-region search: local boxes around the best noises that grow with success and shrink without (2603.14504)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import torch
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import branching

LEAST, FIRST, MOST, FACTOR, PATIENCE = 0.05, 0.8, 2.4, 1.5, 3  # of the box's length, as in the public code


@dataclass(frozen=True, kw_only=True)
class TrustRegion:
    """Perturbs the best noises within boxes, each with a length of its own.

    A candidate is its region's center with a random share U(0.1, 0.9) of the entries moved by U(-L / 2, L / 2). After 3
    improvements of its best a region's L grows by 1.5, after 3 failures it shrinks by as much, in [0.05, 2.4]; at the
    floor it starts again at 0.8. Centers are the best noises so far, chosen anew each batch. Moves are uniform, where
    the public code takes Sobol points up to 21,201 entries. The norm of a noise is not restored.

    Args:
        warmup: noises before the first batch, at least the regions.
        regions: at least 1.
        batch: candidates of a batch, at least 1; dealt to the regions in turn.

    Cost: nfes_per_iter a candidate; anytime.
    Reads: the order of the scores.
    Source: 2603.14504, TRS; the public code's 80, 15 and 20 want some 200 candidates, the defaults here fewer.
    """

    reads: ClassVar[frozenset[str]] = frozenset()

    warmup: int = 8
    regions: int = 2
    batch: int = 4

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, regions=self.regions, batch=self.batch)
        checks.whole_from(self.regions, warmup=self.warmup)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        noises = space.draw("candidate", range(self.warmup))
        scored = yield Proposal(space.start(noises), space.times)
        scores, ids = scored.scores, scored.ids
        regions = [_Region() for _ in range(self.regions)]
        for number in count():
            best = branching.best(scores, self.regions)
            noises, scores, ids = noises[best], scores[best], ids[best]  # only these can be centers again
            owners = [(number * self.batch + k) % self.regions for k in range(self.batch)]
            tried = torch.cat(
                [self._move(space, noises[r], regions[r].length, number, k) for k, r in enumerate(owners)]
            )
            scored = yield Proposal(space.start(tried), space.times, parents=ids[torch.tensor(owners)])
            for r in sorted(set(owners)):
                own = scored.scores[[k for k, owner in enumerate(owners) if owner == r]]
                regions[r].judge(bool(own.max() > scores[r]))
            noises = torch.cat([noises, tried])
            scores, ids = torch.cat([scores, scored.scores]), torch.cat([ids, scored.ids])

    def _move(self, space: NoiseSpace, center: Tensor, length: float, number: int, k: int) -> Tensor:
        rng = space.generator(f"batch {number}", k)
        size = center.numel()
        moved = rng.permutation(size) < max(round(rng.uniform(0.1, 0.9) * size), 1)
        step = torch.from_numpy(rng.uniform(-length / 2, length / 2, size) * moved).float()
        return (center + step.view_as(center))[None]


@dataclass
class _Region:
    """The box around one center: how long it is, and how it went of late (above 0: improvements in a row)."""

    length: float = FIRST
    streak: int = 0

    def judge(self, improved: bool) -> None:
        """Counts, and grows or shrinks where it is time."""
        step = 1 if improved else -1
        self.streak = self.streak + step if self.streak * step >= 0 else step
        if abs(self.streak) == PATIENCE:
            self.streak = 0
            self.length = min(self.length * FACTOR, MOST) if improved else self.length / FACTOR
            if self.length < LEAST or math.isclose(self.length, LEAST):
                self.length = FIRST
