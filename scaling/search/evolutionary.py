"""EvoSearch: a population of noises, and of states on the way, that evolves (He et al. 2505.17618)."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, Scored, SearchRun
from scaling.search import branching


@dataclass(frozen=True, kw_only=True)
class Evolutionary:
    """Solves a population to the end, keeps its elites and breeds the rest from parents that won a tournament.

    A noise mutates to sqrt(1 - mutation^2) x + mutation eps. Below time 1 the state there mutates to x + std eps, std
    as one ancestral step of the grid would add. Elites keep their samples and scores at no cost.

    Args:
        population: at least 2.
        elites: at least 0 and fewer than the population.
        mutation: beta, in (0, 1].
        tournament: share of the population in each tournament, in (0, 1]; 0.9 is the public code's.
        schedule: times at which generations begin, from 1 downwards, the last one ever after.

    Cost: population x nfes_per_iter, then a generation (population - elites) x what the grid spends below its time;
        anytime.
    Reads: x, and the order of the scores.
    Source: He et al. 2505.17618, EvoSearch.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"x"})

    population: int = 10
    elites: int = 3
    mutation: float = 0.2
    tournament: float = 0.9
    schedule: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(2, population=self.population)
        checks.whole_from(0, elites=self.elites)
        checks.within(0, self.population - 1, elites=self.elites)
        checks.within(0, 1, mutation=self.mutation, tournament=self.tournament)
        checks.above(0, mutation=self.mutation, tournament=self.tournament)
        checks.within(0, 1, **{f"schedule[{i}]": t for i, t in enumerate(self.schedule)})
        if not self.schedule or self.schedule[0] != 1 or not all(a > b for a, b in pairwise(self.schedule)):
            raise ValueError(f"schedule={list(self.schedule)} must begin at 1 and fall")

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        stops = self._stops(space)
        pool = yield from _solve(space, space.start(space.draw("candidate", range(self.population))), None, stops)
        for generation in count(1):
            stops = stops[1:] if len(stops) > 2 else stops
            x, parents = self._breed(space, pool, stops[0], generation)
            pool = pool.survivors(self.elites, (yield from _solve(space, x, parents, stops)))

    def _stops(self, space: NoiseSpace) -> list[int]:
        """Where on the grid generations begin, and its end."""
        last = len(space.times) - 1
        return [*sorted({int((space.times - t).abs().argmin()) for t in self.schedule} - {last}), last]

    def _breed(
        self, space: NoiseSpace, pool: _Pool, stop: int, generation: int
    ) -> tuple[Float[Tensor, "n *latent"], Int[Tensor, " n"]]:
        """The mutated states of the tournaments' winners, and the winners' ids."""
        size, rng = self.population - self.elites, space.generator("tournament", generation)
        entrants = max(round(self.tournament * self.population), 1)
        winners = [pool.winner(rng.choice(self.population, entrants, replace=False)) for _ in range(size)]
        x, noise = pool.states[stop][winners], space.draw(f"mutation {generation}", range(size))
        if stop == 0:
            x = math.sqrt(1 - self.mutation**2) * x + self.mutation * space.start(noise)
        else:  # from nothing, an ancestral step makes just its noise
            nothing = torch.zeros_like(x)
            x = x + space.step(nothing, nothing, float(space.times[stop - 1]), float(space.times[stop]), noise)
        return x, pool.ids[winners]


class _Pool(NamedTuple):
    """A population: its states where later generations may begin, its final scores and ids."""

    states: dict[int, Tensor]
    scores: Float[Tensor, " n"]
    ids: Int[Tensor, " n"]

    def winner(self, entrants: np.ndarray) -> int:
        return int(entrants[int(self.scores[entrants].argmax())])

    def survivors(self, elites: int, born: _Pool) -> _Pool:
        """The best of this population and all of the next."""
        best = branching.best(self.scores, elites)
        states = {stop: torch.cat([self.states[stop][best], x]) for stop, x in born.states.items()}
        return _Pool(states, torch.cat([self.scores[best], born.scores]), torch.cat([self.ids[best], born.ids]))


def _solve(
    space: NoiseSpace, x: Tensor, parents: Tensor | None, stops: Sequence[int]
) -> Generator[Proposal, Scored, _Pool]:
    """Solves from the first stop to the end, stopping unscored at those between."""
    states = {}
    for start, stop in pairwise(stops):
        states[start] = x
        ends = stop == stops[-1]
        scored = yield Proposal(x, space.times[start : stop + 1], score=ends, parents=parents)
        x, parents = scored.x, scored.ids
    return _Pool(states, scored.scores, scored.ids)
