"""Diffusion tree sampling and search: trajectories that share their beginnings (Jain et al. 2506.20701)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun
from scaling.search import particles


@dataclass(frozen=True, kw_only=True)
class Dts:
    """Grows a tree of noisy states: descends to a node with room, draws a fresh step there and solves to the end.

    A node that was visited N times has room while it has fewer than ceil(width N^growth) children. A descent takes a
    child in proportion to exp(lambda v), or the one with the largest v + explore sqrt(ln N / its visits). The values on
    the way become v = log mean exp(lambda v) / lambda over the children; a leaf's is its score.

    Args:
        select: `softmax` samples the tilted law (DTS), `ucb` searches for its mode (DTS*).
        lambda_: of the tilted law exp(lambda score), above 0.
        width: C, above 0.
        growth: alpha, in (0, 1].
        explore: weight of what was visited little, at least 0; of `ucb` alone.
        eta: of the stochastic step, in (0, 1]; 1 is ancestral.

    Cost of a rollout: steps less the states that it shares with earlier ones, which are 0 for the first; anytime.
    Reads: x0, and the scores' differences.
    Source: Jain et al. 2506.20701, DTS and DTS*.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic", "calibrated"})

    select: str = "softmax"
    lambda_: float = 10.0
    width: float = 1.0
    growth: float = 0.5
    explore: float = 1.0
    eta: float = 1.0

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.one_of(("softmax", "ucb"), select=self.select)
        checks.above(0, lambda_=self.lambda_, width=self.width, growth=self.growth, eta=self.eta)
        checks.within(0, 1, growth=self.growth, eta=self.eta)
        checks.within(0, math.inf, explore=self.explore)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        times, last = space.times, len(space.times) - 2
        root, fresh = _Node(), count()
        for rollout in count():
            path = self._descend(root, space.generator("descend", rollout))
            while len(path) < last + 2:
                node, depth = path[-1], len(path) - 1  # the node's state is at times[depth - 1]
                if depth == 0:
                    x, parents = space.start(space.draw("candidate", next(fresh))), None
                else:
                    noise = space.draw(f"rollout {rollout}", depth)
                    t, s = float(times[depth - 1]), float(times[depth])
                    x, parents = space.step(node.x, node.x0, t, s, noise, self.eta), node.id
                ends = depth == last
                scored = yield Proposal(x, times[depth:] if ends else times[depth : depth + 1], ends, parents=parents)
                child = _Node(x, scored.x0, scored.ids)
                node.children.append(child)
                path.append(child)
            path[-1].value = float(scored.scores[0])
            self._back_up(path)

    def _descend(self, root: _Node, rng: np.random.Generator) -> list[_Node]:
        path = [root]
        while path[-1].children and len(path[-1].children) >= self._room(path[-1]):
            path.append(self._child(path[-1], rng))
        return path

    def _room(self, node: _Node) -> int:
        return math.ceil(self.width * max(node.visits, 1) ** self.growth)

    def _child(self, node: _Node, rng: np.random.Generator) -> _Node:
        values = torch.tensor([child.value for child in node.children], dtype=torch.float64)
        if self.select == "softmax":
            return node.children[int(rng.choice(len(values), p=particles.shares(self.lambda_ * values).numpy()))]
        rarity = torch.tensor([math.log(node.visits) / child.visits for child in node.children], dtype=torch.float64)
        return node.children[int((values + self.explore * rarity.sqrt()).argmax())]

    def _back_up(self, path: list[_Node]) -> None:
        for node in reversed(path):
            node.visits += 1
            if node.children:
                values = torch.tensor([child.value for child in node.children], dtype=torch.float64)
                log_mean = (self.lambda_ * values).logsumexp(dim=0) - math.log(len(values))
                node.value = float(log_mean) / self.lambda_


_NOTHING = torch.empty(0)


@dataclass(eq=False)
class _Node:
    """A state on the way and what its rollouts were worth; the root stands above all first noises."""

    x: Tensor = _NOTHING
    x0: Tensor = _NOTHING  # the clean prediction there
    id: Tensor = _NOTHING
    children: list[_Node] = field(default_factory=list)
    visits: int = 0
    value: float = -math.inf
