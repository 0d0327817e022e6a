"""Two alarms about a search that goes too far, each a paired test that names the rung where it starts.

*Over-optimized*: a held-out score of the samples falls while the guiding one rises. *Narrowed*: recall or diversity
falls, or FID turns back up, though each sample may still look better. They are different things.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scaling.analysis.figures.style import lower_is_better, pretty
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.names import NO_SEARCH
from scaling.statistics import applying, rounding

LEVEL = 0.05  # chance of a false alarm per metric, all rungs together
DIVERSITY = ("recall", "diversity", "coverage", "vendi")  # set metrics that fall where the samples grow alike
Test = Callable[[int, int], float]  # p-value that the second rung is below the first


@dataclass(frozen=True)
class Alarm:
    """What fell, from which rung on, and by how much at the largest budget."""

    kind: str  # over-optimized | narrowed
    metric: str
    start_nfe: float
    peak_nfe: float
    before: float
    after: float
    p_value: float
    guide: str

    @property
    def words(self) -> str:
        """One sentence for people."""
        moved = "rose" if lower_is_better(self.metric) else "fell"
        return (
            f"{self.kind} from {self.start_nfe:,.0f} NFE on: {pretty(self.metric)} {moved} from {self.before:.4g} "
            f"(its best, at {self.peak_nfe:,.0f} NFE) to {self.after:.4g} while {pretty(self.guide)}, which guides the "
            f"search, rose (p = {max(self.p_value, 1e-99):.1g})"
        )


def alarms(run: Run) -> tuple[Alarm, ...]:
    """Every alarm of a run, over-optimization first; none for runs without single scores or without a search."""
    if run.identity.search in NO_SEARCH or not run.has_winners or len(run.series(run.identity.metric)) < 2:
        return ()
    guide, scores = _guide(run)
    found = []
    for metric in run.per_sample_metrics:
        if metric != guide:
            sign = -1 if lower_is_better(metric) else 1
            values = sign * applying(run.per_sample(metric))
            found.append(_alarm("over-optimized", run, metric, values.mean(axis=1), _paired(values), guide, scores))
    for metric in run.set_metrics:
        if metric == "fid" or metric in DIVERSITY:
            sign = -1 if lower_is_better(metric) else 1
            replicates = sign * run.replicates(metric)
            values = sign * np.array([point.value for point in run.series(metric)])
            test = _paired_sets(values, replicates)
            found.append(_alarm("narrowed", run, metric, values, test, guide, scores))
    return tuple(alarm for alarm in found if alarm is not None)


def _guide(run: Run) -> tuple[str, NDArray]:
    """The guiding score of the final samples, or at search time where it is not recorded of them."""
    verifier = run.identity.verifier
    recorded = verifier in run.per_sample_metrics
    return verifier, applying(run.per_sample(verifier)) if recorded else run.search_scores


def _alarm(kind: str, run: Run, metric: str, values: NDArray, test: Test, guide: str, scores: NDArray) -> Alarm | None:
    """The alarm where the values (higher is better) end below their peak while the guiding score rose since."""
    peak = int(np.argmax(values))
    later = range(peak + 1, len(values))
    level = LEVEL / max(1, len(values) - 1)  # the peak is found in the same data: Bonferroni over the rungs
    p_values = {rung: test(peak, rung) for rung in later}
    start = next((rung for rung in later if all(p_values[each] < level for each in later if each >= rung)), None)
    if start is None or _paired(-scores)(peak, len(values) - 1) >= LEVEL:
        return None
    points = run.series(metric)
    last = points[-1]
    return Alarm(
        kind, metric, points[start].nfe, points[peak].nfe, points[peak].value, last.value, p_values[last.rung], guide
    )


def _paired(values: NDArray) -> Test:
    """A one-sided paired t test over conditions; values are rungs by conditions."""

    def test(first: int, second: int) -> float:
        difference = values[second] - values[first]
        least = rounding(np.abs(values[[first, second]]).max())
        if len(difference) > 1 and np.ptp(difference) <= least:
            return float(difference.mean() >= -least)
        statistic = difference.mean() / (difference.std(ddof=1) / np.sqrt(len(difference)))
        return float(stats.t.cdf(statistic, len(difference) - 1))

    return test


def _paired_sets(values: NDArray, replicates: NDArray) -> Test:
    """A one-sided paired jackknife test over groups; replicates are rungs by groups."""
    groups = replicates.shape[1]

    def test(first: int, second: int) -> float:
        difference, moved = replicates[second] - replicates[first], values[second] - values[first]
        least = rounding(np.abs(replicates[[first, second]]).max())
        if np.ptp(difference) <= least:
            return float(moved >= -least)
        error = np.sqrt((groups - 1) / groups * np.sum((difference - difference.mean()) ** 2))
        return float(stats.t.cdf(moved / error, groups - 1))

    return test
