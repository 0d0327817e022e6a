"""Zero-order search around a pivot noise (Ma et al. 2501.09732, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import geometry


@dataclass(frozen=True, kw_only=True)
class ZeroOrder:
    """Solves neighbors of a pivot noise each round; the best becomes the pivot.

    Args:
        neighbors: of a round, at least 1.
        cosine: of a neighbor to the pivot, in [-1, 1].
        pivot: where no neighbor beats it, `keep` holds on to it at no cost, `move` takes the round's best all the same,
            and `restart` draws a fresh one (one more solve).

    Cost of K rounds: nfes_per_iter (1 + neighbors K), plus the restarts; anytime.
    Reads: the order of the scores.
    Source: Ma et al. 2501.09732, section 3.2.
    """

    reads: ClassVar[frozenset[str]] = frozenset()

    neighbors: int = 2
    cosine: float = 0.95
    pivot: str = "keep"

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, neighbors=self.neighbors)
        checks.within(-1, 1, cosine=self.cosine)
        checks.one_of(("keep", "move", "restart"), pivot=self.pivot)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        fresh = count()
        pivot = None
        for round in count():
            if pivot is None:
                pivot = space.draw("candidate", next(fresh))
                scored = yield Proposal(space.start(pivot), space.times)
                score, parents = scored.scores[0], scored.ids.repeat(self.neighbors)
            draws = space.draw("neighbor", range(round * self.neighbors, (round + 1) * self.neighbors))
            noises = geometry.neighbors(pivot, draws, self.cosine)
            scored = yield Proposal(space.start(noises), space.times, parents=parents)
            best = int(scored.scores.argmax())
            if scored.scores[best] > score or self.pivot == "move":
                pivot, score = noises[best : best + 1], scored.scores[best]
                parents = scored.ids[best].repeat(self.neighbors)
            elif self.pivot == "restart":
                pivot = None
