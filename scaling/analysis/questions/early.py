"""How early a score of the x0 prediction tells the final one, and which rungs of `halving` that suggests.

Read from one run that scored every candidate on its way and dropped none (`search=halving search.keep=1`), or from
anybody's table of such scores: whatever halving would have kept of them is then known, at no further NFE.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from scaling.analysis.questions.best_of_n import best_of_n
from scaling.analysis.questions.pool_table import read_pool_table
from scaling.analysis.runs.folder import Run
from scaling.schema import SEARCH
from scaling.statistics import Array, Interval, mean_interval

KEPT = (0.25, 0.5)  # shares that a proposal tries
RUNGS = 3  # at most, in a proposal
TRIED = 9  # times at which the rungs of a pool are tried, spread over its steps
DRAWS = 50  # random subsets of the pool for each proposal
_AXES = ("condition", "candidate", "step")


class Rungs(NamedTuple):
    """Settings of `halving` (none: random search) with the mean final score that a budget buys by them."""

    times: tuple[float, ...]
    keep: float
    candidates: int
    score: float


@dataclass(frozen=True)
class Early:
    """Scores of every candidate on its way; the last time is 0, and the score there the final one."""

    times: tuple[float, ...]  # falling
    legs: tuple[int, ...]  # NFE of one candidate from each time to the next, its score at the end left out
    scores: NDArray[np.float64]  # [conditions, candidates, times]
    free: bool = False  # whether a score on the way is of a prediction that the next step makes anyhow

    def correlations(self) -> list[tuple[float, Interval]]:
        """The rank correlation within a condition between the score at each time and the final one, and its mean's
        interval over conditions."""
        final = rankdata(self.scores[..., -1], axis=1)
        return [
            (time, mean_interval(_correlation(rankdata(self.scores[..., place], axis=1), final)))
            for place, time in enumerate(self.times[:-1])
        ]

    def proposals(self, budget: int, seed: int = 0) -> list[Rungs]:
        """What `budget` NFE a condition buy by each choice of up to three rungs, the best first; random search is the
        one without rungs. Choices that need more candidates than there are stay out.
        """
        rng = np.random.default_rng(seed)
        order = rng.permuted(np.broadcast_to(np.arange(self.pool), (DRAWS, len(self.scores), self.pool)), axis=2)
        found = []
        for places, keep in self._choices():
            count = max((n for n in range(1, self.pool + 1) if self._cost(n, places, keep) <= budget), default=0)
            if 0 < count < self.pool:
                score = float(np.mean([self._finish(members[:, :count], places, keep) for members in order]))
                found.append(Rungs(tuple(self.times[place] for place in places), keep, count, score))
        return sorted(found, key=lambda each: -each.score)

    def worth(self, score: float) -> float:
        """How many candidates of random search reach a mean final score; between two counts linear, NaN beyond."""
        final = self.scores[..., -1]
        counts = np.unique(np.geomspace(1, self.pool, 60).round().astype(int))
        means = [float(best_of_n(final, final, int(n)).mean()) for n in counts]
        return float(np.interp(score, means, counts, left=np.nan, right=np.nan))

    @property
    def pool(self) -> int:
        """Candidates a condition."""
        return self.scores.shape[1]

    def _choices(self) -> Iterator[tuple[tuple[int, ...], float]]:
        yield (), 1.0
        every = max((len(self.times) - 1) // TRIED, 1) if self.free else 1
        tried = range(every - 1, len(self.times) - 1, every)
        for size in range(1, RUNGS + 1):
            for places in combinations(tried, size):
                for keep in KEPT:
                    yield places, keep

    def _cost(self, count: int, places: Sequence[int], keep: float) -> int:
        total, begin = 0, 0
        for place in (*places, len(self.times) - 1):
            look = place < len(self.times) - 1 and not self.free
            total += count * (sum(self.legs[begin : place + 1]) + look)
            count, begin = max(math.ceil(count * keep), 1), place + 1
        return total

    def _finish(self, members: NDArray[np.int64], places: Sequence[int], keep: float) -> float:
        """The mean final score of the best that is left, from these candidates [conditions, n]."""
        for place in places:
            seen = np.take_along_axis(self.scores[..., place], members, axis=1)
            count = max(math.ceil(members.shape[1] * keep), 1)
            members = np.take_along_axis(members, np.argsort(-seen, axis=1, kind="stable")[:, :count], axis=1)
        return float(np.take_along_axis(self.scores[..., -1], members, axis=1).max(axis=1).mean())


def early_scores(run: Run) -> Early:
    """The guide's scores along every trajectory of a run; a ValueError where candidates were dropped on the way."""
    table = run.candidates
    columns = {name: table[name].to_numpy() for name in ("condition", "candidate", "parent", "t", "spent_nfe")}
    score = table[SEARCH + run.identity.verifier].to_numpy().astype(np.float64)
    times = tuple(np.unique(columns["t"])[::-1].tolist())
    conditions = len(np.unique(columns["condition"]))
    pool = int((columns["t"] == 0).sum()) // conditions
    whole = len(score) == conditions * pool * len(times) and len(times) > 1
    if not whole or not (np.diff(columns["candidate"].reshape(conditions, -1)) == 1).all():
        raise ValueError(
            f"{run.path} did not follow every candidate to its end; make such a run: scaling -m experiment=rungs"
        )
    shape = (conditions, len(times), pool)  # rows are sorted: a proposal holds all candidates at one time
    spent = columns["spent_nfe"].reshape(shape)[0, :, 0]
    paid = np.diff(spent, prepend=0) // pool
    legs = tuple(int(nfe) - (time > 0) for nfe, time in zip(paid, times, strict=True))
    return Early(times, legs, score.reshape(shape).transpose(0, 2, 1))


def early_pool(path: Path, guide: str) -> Early:
    """A table's scores along every trajectory: `condition`, `candidate`, `step` (0, 1, ...) and a column per score.

    The score of a step is that of the x0 prediction which the next step makes anyhow; the last is the final one.

    Raises:
        ValueError: names what the table lacks.
    """
    table = read_pool_table(path, (*_AXES, guide), _AXES)
    table = table.sort_by([(name, "ascending") for name in ("condition", "candidate", "step")])
    places = [np.unique(table[name].to_numpy(zero_copy_only=False), return_inverse=True) for name in _AXES]
    shape = tuple(len(values) for values, _ in places)
    flat = np.ravel_multi_index([place for _, place in places], shape)
    if len(flat) != np.prod(shape) or (np.diff(flat) != 1).any() or shape[-1] < 2:
        raise ValueError(f"{path} has not every step of every candidate of every condition, two steps at least")
    steps = shape[-1]
    scores = table[guide].to_numpy(zero_copy_only=False).astype(np.float64).reshape(shape)
    if missing := int(np.isnan(scores).sum()):
        raise ValueError(f"{path} lacks {missing} of {scores.size} scores {guide!r}: every step needs one")
    return Early(tuple(1 - (step + 1) / steps for step in range(steps)), (1,) * steps, scores, free=True)


def words(early: Early, budgets: Sequence[int]) -> list[str]:
    """Lines for people: the correlation by time, and the best choice of rungs for each budget beside random search."""
    lines = ["how a score at time t ranks the candidates of a condition as the final score does (rank correlation):"]
    lines += [f"  t = {t:.2f}  {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}]" for t, rho in early.correlations()]
    for budget in budgets:
        proposals = early.proposals(budget)
        plain = next((each for each in proposals if not each.times), None)
        if plain is None:
            lines.append(f"{budget} NFE: this run has too few candidates ({early.pool}) to tell")
            continue
        best = proposals[0]
        said = f"search.rungs=[{','.join(f'{t:g}' for t in best.times)}] search.keep={best.keep}"
        verdict = f"search=halving {said} of {best.candidates} candidates" if best.times else "search=random is best"
        equal = early.worth(best.score)
        as_good = f" (as the best of {equal:.0f})" if best.times and equal == equal else ""
        lines.append(
            f"{budget} NFE: {verdict}; mean final score {best.score:.4f}{as_good}, "
            f"random search {plain.score:.4f} of {plain.candidates}"
        )
    return lines


def _correlation(first: Array, second: Array) -> Array:
    """Pearson's correlation in each row; 0 where one of them is constant."""
    first, second = first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return (first * second).sum(axis=1) / np.where(scale > 0, scale, 1)
