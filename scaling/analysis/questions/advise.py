"""The compute-optimal envelope: for each total budget, the best split of it that was measured, and what to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scaling.analysis.figures.style import lower_is_better, pretty
from scaling.analysis.runs.costs import cost
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.names import NO_SEARCH, Names, key_of, settings_of
from scaling.schema import Point


@dataclass(frozen=True)
class Advice:
    """What to use for a budget: a method with its split, and the value to expect (interpolated between rungs)."""

    budget: float
    axis: str
    metric: str
    label: str
    run: Run
    candidates: float
    nfes_per_iter: float  # of one candidate's solve, or of the one sample where nothing is searched
    final_nfe: float  # of the winner's second solve, 0 where there is none
    expected: float

    @property
    def words(self) -> str:
        """One sentence for people, with the overrides that run it."""
        head = f"for {self.budget:,.6g} {pretty(self.axis)} use {self.label}"
        tail = f"expect {pretty(self.metric)} {self.expected:.4g}\n    {self.command}"
        if self.run.identity.search in NO_SEARCH:
            return f"{head}: one sample of {self.nfes_per_iter:,.0f} NFE; {tail}"
        solve = f" and a final solve of {self.final_nfe:g}" if self.final_nfe else ""
        return f"{head}: {self.candidates:,.0f} candidates of {self.nfes_per_iter:g} NFE{solve}; {tail}"

    @property
    def command(self) -> str:
        """The command line that spends the budget so."""
        point = self.run.identity
        choices = f"scaling model={point.model} search={point.search}"
        if point.search in NO_SEARCH:
            return f"{choices} budget=nfe 'budget.nfe=[{self.nfes_per_iter:.0f}]'"
        split = f"budget.nfes_per_iter={self.nfes_per_iter:g}" + (
            f" budget.final_nfe={self.final_nfe:g}" if self.final_nfe else ""
        )
        return f"{choices} verifier={point.verifier} {split} 'budget.candidates=[{self.candidates:.0f}]'"


@dataclass(frozen=True)
class Trace:
    """One method's measured values by cost, rising, and the points they came from."""

    run: Run
    cost: np.ndarray
    value: np.ndarray
    points: tuple[Point, ...]

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
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        if metric in run.metrics and run.identity.verifier != "control":
            groups.setdefault((key_of(run), *(point.nfe for point in run.series(metric))), []).append(run)
    return tuple(_trace(group, metric, axis) for group in groups.values())


def envelope(found: Sequence[Trace], metric: str, budgets: Sequence[float]) -> list[tuple[float, Trace, float]]:
    """For each budget the best method within it and its value; budgets that nothing reaches are left out."""
    best = []
    for budget in budgets:
        inside = [(_within(trace, metric, budget), place) for place, trace in enumerate(found)]
        inside = [each for each in inside if np.isfinite(each[0])]
        if inside:
            value, place = (min if lower_is_better(metric) else max)(inside)
            best.append((budget, found[place], value))
    return best


def advise(runs: Sequence[Run], budget: float, metric: str, axis: str = "nfe") -> Advice:
    """What to use for a total budget per condition; a ValueError says the least budget where it is under that."""
    found = traces(runs, metric, axis)
    if not found:
        known = ", ".join(dict.fromkeys(name for run in runs for name in run.metrics))
        raise ValueError(f"no run has the metric {metric!r}; there are {known}")
    best = envelope(found, metric, [budget])
    if not best:
        least = min(trace.cost[0] for trace in found)
        raise ValueError(f"a budget of {budget:g} {pretty(axis)} is under the least that was run, {least:g}")
    _, trace, value = best[0]
    place, label = _best_place(trace, metric, budget), Names(tuple(runs)).labels[key_of(trace.run)]
    plain = trace.run.identity.search in NO_SEARCH
    candidates = np.interp(place, trace.cost, [point.candidates for point in trace.points])
    solve = np.interp(place, trace.cost, [point.nfe if plain else _per_iter(trace, point) for point in trace.points])
    final = trace.points[0].final_nfe
    return Advice(budget, axis, metric, label, trace.run, max(1.0, float(candidates // 1)), float(solve), final, value)


def _per_iter(trace: Trace, point: Point) -> float:
    return float(settings_of(trace.run).get("budget.nfes_per_iter") or point.search_nfe / point.candidates)


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
        nearest = [(trace, _nearest(trace, budget)) for trace in found]
        followed = [_follow(trace, rung, metric) for trace, rung in nearest if rung is not None]
        comparable = all(np.isfinite(each).all() for each in followed)  # nothing is extrapolated
        if len(followed) < 2 or not comparable:
            continue
        best = max(sign * each.best for each in followed)
        if best > floor:
            chosen = max(followed, key=lambda each: sign * each.guess)
            judged.append((budget, (best - sign * chosen.gets) / (best - floor)))
    return judged


class Followed(NamedTuple):
    """What a method seems to be worth without one of its rungs, what one then gets, and its best within that budget."""

    guess: float
    gets: float
    best: float


def _follow(trace: Trace, rung: int, metric: str) -> Followed:
    unseen, budget = trace.without(rung), float(trace.cost[rung])
    place = _best_place(unseen, metric, budget)
    return Followed(unseen.at(place), trace.at(place), _within(trace, metric, budget))


def _nearest(trace: Trace, budget: float) -> int | None:
    place = int(np.argmin(np.abs(np.log(trace.cost / budget))))
    return place if abs(np.log(trace.cost[place] / budget)) < 0.1 else None


def _trace(runs: Sequence[Run], metric: str, axis: str) -> Trace:
    points = runs[0].series(metric)
    costs = np.array([cost(runs[0], point, axis) for point in points])
    values = np.mean([[point.value for point in run.series(metric)] for run in runs], axis=0)
    order = np.argsort(costs, kind="stable")
    return Trace(runs[0], costs[order], values[order], tuple(points[place] for place in order))


def _within(trace: Trace, metric: str, budget: float) -> float:
    """The best value within a budget: nobody has to spend all of it."""
    place = _best_place(trace, metric, budget)
    return trace.at(place) if np.isfinite(place) else float("nan")


def _best_place(trace: Trace, metric: str, budget: float) -> float:
    """Where within the budget the value is best: at a rung, or at the budget itself."""
    places = [float(x) for x in trace.cost if x <= budget]
    if not places:
        return float("nan")
    if budget <= trace.cost[-1]:
        places.append(budget)
    return (min if lower_is_better(metric) else max)(places, key=trace.at)
