"""CoDe: blockwise best-of-n sampling (Singh et al. 2502.00968)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import SearchRun
from scaling.search import branching


@dataclass(frozen=True, kw_only=True)
class Code:
    """Samples children of one state for a block of stochastic steps each, goes on with the best, and again.

    They are judged by their x0 prediction; the first choice is among the initial noises.

    Args:
        children: at least 1; set by the budget.
        block: steps between choices, at least 1.
        eta: of the stochastic step, in (0, 1]; 1 is ancestral.

    Cost: children x steps.
    Reads: x0, and the order of the scores.
    Source: Singh et al. 2502.00968, CoDe.
    """

    size_parameter: ClassVar[str] = "children"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic"})

    children: int = 4
    block: int = 5
    eta: float = 1.0

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, children=self.children, block=self.block)
        checks.within(0, 1, eta=self.eta)
        checks.above(0, eta=self.eta)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        return branching.cost(space, self.children)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        return branching.branch(
            space,
            width=1,
            children=self.children,
            block=self.block,
            eta=self.eta,
            choose=lambda scores, _: branching.best(scores, 1),
        )
