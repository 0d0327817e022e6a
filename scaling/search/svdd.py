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
    """Takes `children` stochastic steps from one state and goes on with the best, or with one drawn by its score.

    A `temperature` above 0 draws the child from softmax(score / temperature). The initial noises are the first
    children. Cost: children x steps, and no more.
    """

    size_parameter: ClassVar[str] = "children"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic"})

    children: int = 4
    temperature: float = 0.0
    eta: float = 1.0

    def __post_init__(self) -> None:
        checks.whole_from(1, children=self.children)
        checks.within(0, float("inf"), temperature=self.temperature)
        checks.within(0, 1, eta=self.eta)
        checks.above(0, eta=self.eta)

    def cost(self, space: NoiseSpace) -> int:
        return branching.cost(space, self.children)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        def choose(scores: Float[Tensor, " n"], step: int) -> Int[Tensor, " 1"]:
            if self.temperature == 0:
                return branching.best(scores, 1)
            weights = particles.shares(scores.double() / self.temperature)
            return torch.tensor([space.generator("choose", step).choice(len(weights), p=weights.numpy())])

        return branching.branch(space, width=1, children=self.children, eta=self.eta, choose=choose)
