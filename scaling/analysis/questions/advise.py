"""The compute-optimal envelope: for each total budget, the best split of it that was measured, and what to use."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaling.analysis.figures.curve_plot import with_error
from scaling.analysis.figures.style import lower_is_better, pretty
from scaling.analysis.runs.costs import cost
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.lines import bought, grouped, intervals
from scaling.analysis.runs.names import NO_SEARCH, Names, settings_of
from scaling.budget import UNITS
from scaling.schema import Point
from scaling.statistics import Interval, in_range, rounding, simultaneous_intervals, widened

SPLIT = (*(f"budget.{unit}" for unit in UNITS), "budget.nfes_per_iter", "budget.final_nfe", "study")


@dataclass(frozen=True)
class Advice:
    """What to use for a budget: a rung that was measured, with its split, its value and that value's interval."""

    budget: float
    axis: str
    metric: str
    label: str
    run: Run
    candidates: float
    nfes_per_iter: float  # of one candidate's solve, or of the one sample where nothing is searched
    final_nfe: float  # of the winner's second solve, 0 where there is none
    expected: Interval
    budget_nfe: int  # of the rung
    alike: tuple[str, ...] = ()  # other methods whose interval within the budget overlaps
    looked_at: int = 1  # rungs, for all of which the intervals hold at once

    @property
    def words(self) -> str:
        """One sentence for people, with the overrides that run it."""
        head = f"for {self.budget:,.6g} {pretty(self.axis)} use {self.label}"
        known = with_error(*self.expected)
        same = f" (no difference to {', '.join(self.alike)} within the intervals)" if self.alike else ""
        rungs = f", all {self.looked_at} rungs considered" if self.looked_at > 1 else ""
        tail = f"expect {pretty(self.metric)} {known}{rungs}{same}\n    {self.command}"
        if self.run.identity.search in NO_SEARCH:
            return f"{head}: one sample of {self.nfes_per_iter:,.0f} NFE; {tail}"
        solve = f" and a final solve of {self.final_nfe:g}" if self.final_nfe else ""
        return f"{head}: {self.candidates:,.0f} candidates of {self.nfes_per_iter:g} NFE{solve}; {tail}"

    @property
    def command(self) -> str:
        """The command line that spends the budget so."""
        point = self.run.identity
        if (overrides := self.run.config.get("overrides")) is not None:
            kept = [each for each in overrides if each.lstrip("+~").partition("=")[0] not in SPLIT]
            return shlex.join(["scaling", *kept, *self._split()])
        choices = f"scaling model={point.model} search={point.search}"
        if point.search in NO_SEARCH:
            return f"{choices} budget=nfe 'budget.nfe=[{self.nfes_per_iter:.0f}]'"
        split = f"budget.nfes_per_iter={self.nfes_per_iter:g}" + (
            f" budget.final_nfe={self.final_nfe:g}" if self.final_nfe else ""
        )
        return f"{choices} verifier={point.verifier} {split} 'budget.candidates=[{self._ladder()}]'"

    def _ladder(self) -> int:
        """The rung in whole solves."""
        return max(1, round(self.budget_nfe / self.nfes_per_iter))

    def _split(self) -> list[str]:
        """The overrides that buy this rung alone, in the unit that the run's own ladder had."""
        budget = self.run.config.get("budget") or {}
        if self.run.identity.search in NO_SEARCH or budget.get("nfe"):
            return [f"budget.nfe=[{self.budget_nfe}]"]
        final = [f"budget.final_nfe={self.final_nfe:g}"] if self.final_nfe else []
        return [f"budget.nfes_per_iter={self.nfes_per_iter:g}", *final, f"budget.candidates=[{self._ladder()}]"]


@dataclass(frozen=True)
class Trace:
    """One method's measured values by cost, rising, and the points they came from."""

    run: Run
    cost: np.ndarray
    value: np.ndarray
    points: tuple[Point, ...]
    intervals: tuple[Interval, ...] = ()  # of the values, each for itself
    single: NDArray[np.float64] | None = None  # [conditions, rungs], where samples have values; NaN where one has not

    def at(self, budget: float) -> float:
        """The value at a budget, linear in the logarithm of the cost; NaN outside what was measured."""
        if not self.cost[0] <= budget <= self.cost[-1]:
            return float("nan")
        return float(np.interp(np.log(budget), np.log(self.cost), self.value))

    def without(self, place: int) -> Trace:
        """The trace as if one rung had not been measured."""
        points = self.points[:place] + self.points[place + 1 :]
        return Trace(self.run, np.delete(self.cost, place), np.delete(self.value, place), points)


def traces(runs: Sequence[Run], metric: str, axis: str = "nfe") -> tuple[Trace, ...]:
    """A trace per method that has the metric; runs that differ in their seed alone are averaged."""
    informed = [run for run in runs if metric in run.metrics and run.identity.verifier != "control"]
    return tuple(_trace(group, metric, axis) for group in grouped(informed, metric, Names(tuple(runs))).values())


def envelope(found: Sequence[Trace], metric: str, budgets: Sequence[float]) -> list[tuple[float, Trace, float]]:
    """For each budget the best method within it and its value; budgets that nothing reaches are left out."""
    best = []
    for budget in budgets:
        rungs = [(_best_rung(trace, metric, budget), place) for place, trace in enumerate(found)]
        inside = [(float(found[place].value[rung]), place) for rung, place in rungs if rung is not None]
        if inside:
            value, place = (min if lower_is_better(metric) else max)(inside)
            best.append((budget, found[place], value))
    return best


def advise(
    runs: Sequence[Run], budget: float, metric: str, axis: str = "nfe", found: Sequence[Trace] | None = None
) -> Advice:
    """What to use for a total budget per condition; `found` are the traces, where they are known already.

    A ValueError says the least budget where it is under that.
    """
    found = traces(runs, metric, axis) if found is None else found
    if not found:
        known = ", ".join(dict.fromkeys(name for run in runs for name in run.metrics))
        raise ValueError(f"no run has the metric {metric!r}; there are {known}")
    best = envelope(found, metric, [budget])
    if not best:
        least = min(trace.cost[0] for trace in found)
        raise ValueError(f"a budget of {budget:g} {pretty(axis)} is under the least that was run, {least:g}")
    _, trace, _ = best[0]
    rung, names = _best_rung(trace, metric, budget), Names(tuple(runs))
    assert rung is not None
    held = simultaneous(found, budget)
    point, expected = trace.points[rung], in_range(metric, held[found.index(trace), rung])
    others = [(place, _best_rung(other, metric, budget)) for place, other in enumerate(found) if other is not trace]
    alike = [o for o, r in others if r is not None and _overlap(held[o, r], expected)]
    per_iter = settings_of(trace.run).get("budget.nfes_per_iter")
    solve = point.nfe if trace.run.identity.search in NO_SEARCH else per_iter or point.search_nfe / point.candidates
    label, *same = (names.labels[names.key(each.run)] for each in (trace, *(found[o] for o in alike)))
    candidates = max(1.0, point.candidates)
    split = (candidates, float(solve), point.final_nfe)
    return Advice(budget, axis, metric, label, trace.run, *split, expected, point.budget_nfe, tuple(same), len(held))


def simultaneous(found: Sequence[Trace], budget: float) -> dict[tuple[int, int], Interval]:
    """By (trace, rung): intervals of all rungs within a budget that hold at once, since one is chosen after looking.

    By the bootstrap over the conditions that all of these methods have values of; where there are none, each interval
    is widened as Bonferroni does.
    """
    places = [(k, r) for k, trace in enumerate(found) for r in np.flatnonzero(trace.cost <= budget).tolist()]
    values = [single for k in dict.fromkeys(k for k, _ in places) if (single := found[k].single) is not None]
    columns = [single[:, r] for k, r in places if (single := found[k].single) is not None]
    if len(columns) == len(places) and len({len(column) for column in columns}) == 1:
        whole = np.isfinite(np.concatenate(values, axis=1)).all(axis=1)
        if whole.any():
            return dict(zip(places, simultaneous_intervals(np.stack(columns, axis=1)[whole]), strict=True))
    return {(k, r): widened(found[k].intervals[r], len(places)) for k, r in places}


def _overlap(one: Interval, other: Interval) -> bool:
    """Whether two intervals share a value; without an interval nothing is known of a difference."""
    return bool(one.low <= other.high and other.low <= one.high)


def _best_rung(trace: Trace, metric: str, budget: float) -> int | None:
    """The best measured rung within the budget; None where none is."""
    inside = np.flatnonzero(trace.cost <= budget)
    if not len(inside):
        return None
    values = trace.value[inside]
    return int(inside[values.argmin() if lower_is_better(metric) else values.argmax()])


def regret(runs: Sequence[Run], metric: str, axis: str = "nfe") -> list[tuple[float, float]]:
    """How much of the best gain the advice loses, at every interior rung's budget, that rung left out of all methods.

    (budget, regret): 0 where the advised split is the best measured within the budget, 1 where it gains nothing over
    the least value measured. Judged are budgets that two methods or more measured (within 10 %), each with rungs on
    both sides. As in `advise`, nobody has to spend all of a budget.
    """
    found = traces(runs, metric, axis)
    sign = -1.0 if lower_is_better(metric) else 1.0
    floor = min(float((sign * trace.value).min()) for trace in found)
    judged = []
    for budget in sorted({float(x) for trace in found for x in trace.cost[1:-1]}):
        followed = [each for trace in found if (each := _follow(trace, metric, budget)) is not None]
        comparable = all(np.isfinite(each).all() for each in followed)  # nothing is extrapolated
        if len(followed) < 2 or not comparable:
            continue
        best = max(sign * each.best for each in followed)
        if best - floor > rounding(best):
            chosen = max(followed, key=lambda each: sign * each.guess)
            judged.append((budget, (best - sign * chosen.gets) / (best - floor)))
    return judged


class Followed(NamedTuple):
    """What a method seems to be worth without one of its rungs, what one then gets, and its best within that budget."""

    guess: float
    gets: float
    best: float


def _follow(trace: Trace, metric: str, budget: float) -> Followed | None:
    """Without its rung at a budget, within 10 %; None where it has none there."""
    away = np.abs(np.log(trace.cost / budget))
    if away.min() >= 0.1:
        return None
    rung = int(away.argmin())
    unseen, budget = trace.without(rung), float(trace.cost[rung])
    place, best = _best_place(unseen, metric, budget), _best_place(trace, metric, budget)
    return Followed(unseen.at(place), trace.at(place), trace.at(best))


def _trace(runs: Sequence[Run], metric: str, axis: str) -> Trace:
    points = runs[0].series(metric)
    costs = np.array([cost(runs[0], point, axis) for point in points])
    known = intervals(runs, metric)
    values = np.array([each.value for each in known])
    kept_rungs = bought(runs)
    order = np.array([place for place in np.argsort(costs, kind="stable") if place in kept_rungs])
    rising, held = tuple(points[place] for place in order), tuple(known[place] for place in order)
    return Trace(runs[0], costs[order], values[order], rising, held, _single(runs, metric, order))


def _single(runs: Sequence[Run], metric: str, order: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The values of single samples, seeds averaged, rungs in an order; None where there are none."""
    if not all(run.has_winners and metric in run.per_sample_metrics for run in runs):
        return None
    by_run = [run.per_sample(metric, [point.rung for point in run.series(metric)]) for run in runs]
    same = len({each.shape for each in by_run}) == 1
    return np.mean(by_run, axis=0)[order].T if same else None


def _best_place(trace: Trace, metric: str, budget: float) -> float:
    """Where within the budget the value is best: at a rung, or at the budget itself; NaN under the first rung."""
    places = [float(x) for x in trace.cost if x <= budget]
    if not places:
        return float("nan")
    if budget <= trace.cost[-1]:
        places.append(budget)
    return (min if lower_is_better(metric) else max)(places, key=trace.at)
