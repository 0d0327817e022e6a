"""Search over paths: renoise, solve down, keep the best (Ma et al. 2501.09732, section 3.2 and appendix)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Keeps some paths: each round renoises each of them several times, solves down and keeps the best.

    The paths begin with noises solved to time `start`, unscored. A round scores the x0 prediction where it ends (one
    evaluation more); the last round ends at 0. Legs take their share of nfes_per_iter by time.

    Args:
        width: paths, at least 1 (the paper's N).
        branches: of each path in a round, at least 1 (the paper's M); set by the budget.
        start: time of the first paths, above 0.
        forward: how far a round renoises, in (0, 1 - start].
        backward: how far it solves down, in [forward, 1].
        rounds: at least 1.
        selection: of all branches (`overall`) or of each path's own (`per_path`).
        backward_nfe: NFE of a round's leg, at least 1. None: its share by time.

    Cost: width (nfe of the first leg + branches x the sum over rounds of (nfe of the leg + 1; the last without the 1)).
    Reads: x, and the order of the scores.
    Source: Ma et al. 2501.09732, section 3.2 and appendix.
    """

    size_parameter: ClassVar[str] = "branches"
    reads: ClassVar[frozenset[str]] = frozenset({"x"})

    width: int = 2
    branches: int = 2
    start: float = 0.11
    forward: float = 0.78
    backward: float = 0.81
    rounds: int = 4
    selection: str = "overall"
    backward_nfe: int | None = None

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, width=self.width, branches=self.branches, rounds=self.rounds)
        checks.above(0, start=self.start, forward=self.forward)
        checks.within(0, 1 - self.start, forward=self.forward)
        checks.within(self.forward, 1, backward=self.backward)
        checks.one_of(("overall", "per_path"), selection=self.selection)
        if self.backward_nfe is not None:
            checks.whole_from(1, backward_nfe=self.backward_nfe)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition."""
        rounds = sum(space.nfe(leg) for _, leg in self._legs(space))
        return self.width * (space.nfe(self._first(space), score=False) + self.branches * rounds)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        scored = yield Proposal(
            space.start(space.draw("candidate", range(self.width))), self._first(space), score=False
        )
        x, ids = scored.x, scored.ids
        for round, (t, leg) in enumerate(self._legs(space)):
            names = [f"renoise {round}.{path}" for path in range(self.width)]
            noise = torch.cat([space.draw(name, range(self.branches)) for name in names])
            x = space.renoise(x.repeat_interleave(self.branches, 0), t, float(leg[0]), noise)
            scored = yield Proposal(x, leg, parents=ids.repeat_interleave(self.branches))
            kept = self._select(scored.scores)
            x, ids = scored.x[kept], scored.ids[kept]

    def _first(self, space: NoiseSpace) -> Float[Tensor, " times"]:
        return _leg(space, 1.0, self.start)

    def _legs(self, space: NoiseSpace) -> Iterator[tuple[float, Float[Tensor, " times"]]]:
        """Each round: the time its paths stand at, and the grid from the renoised time down to the next."""
        t = self.start
        for round in range(self.rounds):
            top = min(t + self.forward, 1.0)
            bottom = 0.0 if round == self.rounds - 1 else max(top - self.backward, 0.0)
            nfe = self.backward_nfe
            yield t, _leg(space, top, bottom) if nfe is None else space.grid(nfe, top, bottom)
            t = bottom

    def _select(self, scores: Float[Tensor, " n"]) -> Int[Tensor, " {self.width}"]:
        if self.selection == "overall":
            return scores.argsort(descending=True, stable=True)[: self.width]
        best = scores.view(self.width, self.branches).argmax(dim=1)
        return best + torch.arange(self.width) * self.branches


def _leg(space: NoiseSpace, start: float, stop: float) -> Float[Tensor, " times"]:
    """The part of a whole solve's steps that the span is of time 1 to 0, and at least one."""
    steps = len(space.times) - 1
    return space.schedule.grid(max(round(steps * (start - stop)), 1), start, stop)
