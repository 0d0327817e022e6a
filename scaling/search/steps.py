"""No search: the budget buys denoising steps (the baseline of Ma et al. 2501.09732, figure 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Solves draw 0 once, with more denoiser calls; the winner is the answer and is never solved again.

    Args:
        nfe: at least 1; set by the budget.

    Cost: the most that the sampler can spend of nfe (its least, where that is more); open-loop.
    Reads: nothing.
    Source: the baseline of Ma et al. 2501.09732, figure 1.
    """

    open_loop: ClassVar[bool] = True
    size_parameter: ClassVar[str] = "nfe"
    reads: ClassVar[frozenset[str]] = frozenset()
    resolve_winner: ClassVar[bool] = False

    nfe: int = 50

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, nfe=self.nfe)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        step = space.nfe(space.schedule.grid(1))
        return max(self.nfe // step, 1) * step

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        yield Proposal(space.start(space.draw("candidate", 0)), space.grid(self.cost(space)))
