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
    """Keeps the best `width` of all children at every step, by their x0 prediction; each has `children` of its own.

    Cost: width x children x steps.
    """

    size_parameter: ClassVar[str] = "children"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic"})

    width: int = 2
    children: int = 2
    eta: float = 1.0

    def __post_init__(self) -> None:
        checks.whole_from(1, width=self.width, children=self.children)
        checks.within(0, 1, eta=self.eta)
        checks.above(0, eta=self.eta)

    def cost(self, space: NoiseSpace) -> int:
        return branching.cost(space, self.width * self.children)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        return branching.branch(
            space,
            width=self.width,
            children=self.children,
            eta=self.eta,
            choose=lambda scores, _: branching.best(scores, self.width),
        )
