"""SVDD: the best child of every step by the value of its x0 prediction (Li et al. 2408.08252)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import SearchRun
from scaling.search import branching, particles


@dataclass(frozen=True, kw_only=True)
class Svdd:
    """Takes stochastic steps from one state and goes on with the best child, or with one drawn by its score.

    They are judged by their x0 prediction; the initial noises are the first children.

    Args:
        children: at least 1; set by the budget.
        temperature: 0 for the best; above 0 the child is drawn from softmax(score / temperature).
        eta: of the stochastic step, in (0, 1]; 1 is ancestral.

    Cost: children x steps.
    Reads: x0, and the order of the scores (with a temperature: their differences).
    Source: Li et al. 2408.08252, SVDD.
    """

    size_parameter: ClassVar[str] = "children"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic"})

    children: int = 4
    temperature: float = 0.0
    eta: float = 1.0

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, children=self.children)
        checks.within(0, float("inf"), temperature=self.temperature)
        checks.within(0, 1, eta=self.eta)
        checks.above(0, eta=self.eta)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        return branching.cost(space, self.children)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""

        def choose(scores: Float[Tensor, " n"], step: int) -> Int[Tensor, " 1"]:
            if self.temperature == 0:
                return branching.best(scores, 1)
            weights = particles.shares(scores.double() / self.temperature)
            return torch.tensor([space.generator("choose", step).choice(len(weights), p=weights.numpy())])

        return branching.branch(space, width=1, children=self.children, eta=self.eta, choose=choose)
