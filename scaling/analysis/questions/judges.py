"""How far one may search under a judge of a given strength: best of n under each against the truth, and the law of it.

Read from one run of random search whose candidates carry the scores of several judges and of an exact one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling import mode
from scaling.analysis.questions.best_of_n import best_of_n
from scaling.analysis.runs.folder import Run
from scaling.schema import SEARCH
from scaling.statistics import Array, Interval, mean_interval, paired_mean_difference, rounding

SHARE = "accuracy"  # what strength and curves are: shares, whose intervals are those of shares, also where all are 0


@dataclass(frozen=True)
class Law:
    """The gain of best of n over one sample: d (alpha - beta d) with d = sqrt(KL), Gao et al. 2210.10760, 3.1."""

    alpha: float
    beta: float
    fitted: int  # the largest n that it was fitted to
    error: float | None  # root mean square at the n beyond, which it predicts; None where there are none

    def gain(self, distance: Array) -> Array:
        """The gain at square roots of KL divergences."""
        return distance * (self.alpha - self.beta * distance)

    @property
    def peak(self) -> float:
        """log n - (n - 1) / n at which the gain is largest; infinite where it never falls."""
        return (self.alpha / (2 * self.beta)) ** 2 if self.beta > 0 else float("inf")


@dataclass(frozen=True)
class Judge:
    """A judge's strength and what best of n under it is worth by the exact one."""

    name: str
    strength: Interval  # how often a right image scores above a wrong one of its prompt
    curve: tuple[Interval, ...]  # accuracy at each n
    mode: Interval  # accuracy of the mode of all candidates' scores, in the best's place
    ahead: Interval  # of that over the best of all, paired
    law: Law

    @property
    def peak(self) -> int:
        """The place in the curve where accuracy is highest."""
        return int(np.argmax([point.value for point in self.curve]))


def divergence(n: float) -> float:
    """KL of best of n from one sample, in nats: log n - (n - 1) / n, Gao et al. 2210.10760, section 2."""
    return float(np.log(n) - (n - 1) / n)


def ladder(pool: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to the pool."""
    return tuple(2**k for k in range(pool.bit_length()))


def strength(scores: NDArray, right: NDArray) -> Interval:
    """The chance that a right candidate scores above a wrong one of the same prompt, ties counting half.

    Args:
        scores: [prompts, candidates].
        right: the same shape, 1 where the exact judge says that the candidate is right, else 0.

    Returns:
        The mean over the prompts that have both, with its interval over prompts.
    """
    shares = []
    for row, truth in zip(scores, right > 0.5, strict=True):
        good, bad = row[truth], np.sort(row[~truth])
        if len(good) and len(bad):
            below, upto = np.searchsorted(bad, good), np.searchsorted(bad, good, side="right")
            shares.append((below + upto).mean() / (2 * len(bad)))
    if not shares:
        raise ValueError("no prompt has both a right and a wrong candidate: nothing says how strong a judge is")
    return mean_interval(np.array(shares), metric=SHARE)


def fit(counts: Sequence[int], values: Sequence[float]) -> Law:
    """The law by least squares to the gains at n up to a quarter of the largest (4 at least)."""
    distance = np.sqrt([divergence(n) for n in counts])
    gains, fitted = np.asarray(values) - values[0], max(counts[-1] // 4, 4)
    if np.ptp(gains) <= rounding(values[0]):
        gains = np.zeros_like(gains)  # a flat curve has no peak, and its rounding no law
    near = np.asarray(counts) <= fitted
    (alpha, beta), *_ = np.linalg.lstsq(np.stack((distance, -(distance**2)), axis=1)[near], gains[near], rcond=None)
    law = Law(float(alpha), float(beta), fitted, None)
    if near.all():
        return law
    error = float(np.sqrt(np.mean((law.gain(distance) - gains)[~near] ** 2)))
    return Law(law.alpha, law.beta, fitted, error)


def judges(run: Run, exact: str = "shapes_oracle") -> tuple[tuple[int, ...], list[Judge]]:
    """All judges whose scores a run's candidates carry, the weakest first, and the n of their curves.

    Raises:
        ValueError: where the run holds no scores of the exact judge, or prompts with different numbers of candidates.
    """
    table = run.candidates
    scored = [name.removeprefix(SEARCH) for name in table.column_names if name.startswith(SEARCH)]
    names = [name for name in scored if name != exact]
    if exact not in scored or not names:
        raise ValueError(f"{run.path} has no candidates scored by {exact} and others: scaling -m experiment=judges")
    conditions = table["condition"].to_numpy()
    prompts = len(np.unique(conditions))
    if len(conditions) % prompts or (conditions != np.repeat(np.unique(conditions), len(conditions) // prompts)).any():
        raise ValueError(f"{run.path} has not the same number of candidates for every prompt; is it finished?")
    counts = ladder(len(conditions) // prompts)
    right = table[SEARCH + exact].to_numpy().reshape(prompts, -1).astype(np.float64)
    found = []
    for name in names:
        scores = table[SEARCH + name].to_numpy().reshape(prompts, -1).astype(np.float64)
        best = [best_of_n(scores, right, n) for n in counts]
        curve = tuple(mean_interval(each, metric=SHARE) for each in best)
        law = fit(counts, [point.value for point in curve])
        modal = of_modes(scores[:, : counts[-1]], right[:, : counts[-1]])
        ahead, taken = paired_mean_difference(modal, best[-1]), mean_interval(modal, metric=SHARE)
        found.append(Judge(name, strength(scores, right), curve, taken, ahead, law))
    return counts, sorted(found, key=lambda judge: judge.strength.value)


def of_modes(scores: NDArray, right: NDArray) -> Array:
    """What is taken by the mode of a prompt's scores, 1 where it is right; both [prompts, candidates]."""
    deviation = float(np.sqrt(scores.var(axis=1).mean())) or 1.0
    places = [int(mode.heights(row, row).argmax()) for row in scores / deviation]
    return np.asarray(right[np.arange(len(right)), places], dtype=np.float64)
