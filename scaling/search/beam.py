"""Beam search over the noises of a stochastic sampler (a baseline of Ramesh and Mardani 2506.03164)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import SearchRun
from scaling.search import branching


@dataclass(frozen=True, kw_only=True)
class Beam:
    """Keeps the best states of all their children at every step, by their x0 prediction.

    The first choice is among the initial noises.

    Args:
        width: states kept, at least 1.
        children: of each state, at least 1; set by the budget.
        eta: of the stochastic step, in (0, 1]; 1 is ancestral.

    Cost: width x children x steps.
    Reads: x0, and the order of the scores.
    Source: a baseline of Ramesh and Mardani 2506.03164.
    """

    size_parameter: ClassVar[str] = "children"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic"})

    width: int = 2
    children: int = 2
    eta: float = 1.0

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, width=self.width, children=self.children)
        checks.within(0, 1, eta=self.eta)
        checks.above(0, eta=self.eta)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        return branching.cost(space, self.width * self.children)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        return branching.branch(
            space,
            width=self.width,
            children=self.children,
            eta=self.eta,
            choose=lambda scores, _: branching.best(scores, self.width),
        )
