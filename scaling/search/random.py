"""Random search: the best of independent noises (Ma et al. 2501.09732, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar

from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun


@dataclass(frozen=True)
class Random:
    """Draws noises until the budget closes it; candidate k is draw k, so that every budget is a prefix of the next.

    Cost: nfes_per_iter a candidate; anytime, open-loop.
    Reads: nothing.
    Source: Ma et al. 2501.09732, section 3.2.
    """

    open_loop: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        for k in count():
            yield Proposal(space.start(space.draw("candidate", k)), space.times)
