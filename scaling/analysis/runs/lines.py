"""Runs as lines of points: what the curve picture, the figures and the report all draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling.analysis.figures.style import Look
from scaling.analysis.runs.costs import cost
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.names import Key, Names, order
from scaling.statistics import Interval, applying, combine_seeds, in_range, jackknife_interval, mean_interval


@dataclass(frozen=True)
class Line:
    """One method's curve in one metric; rows rise with cost, and bounds are NaN where there is no interval."""

    label: str
    look: Look
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    runs: tuple[Run, ...] = ()


def grouped(
    runs: Sequence[Run], metric: str | None = None, names: Names | None = None
) -> dict[tuple[Key, tuple[float, ...]], list[Run]]:
    """The runs of each line, which differ in their seed alone, by its key and the NFE of its rungs.

    With a `metric`, of the runs that have it; `names` where more is shown than these runs.
    """
    names = names or Names(tuple(runs))
    groups: dict[tuple[Key, tuple[float, ...]], list[Run]] = {}
    for run in runs:
        if metric is None or metric in run.metrics:
            ladder = tuple(point.nfe for point in run.series(metric or run.identity.metric))
            groups.setdefault((names.key(run), ladder), []).append(run)
    return groups


def make_lines(runs: Sequence[Run], metric: str, axis: str = "nfe", names: Names | None = None) -> tuple[Line, ...]:
    """A line per method that has the metric, seeds combined; `names` where more is shown than these runs.

    ValueError where the axis is unknown.
    """
    names = names or Names(tuple(runs))
    ordered = sorted(grouped(runs, metric, names).items(), key=lambda item: order(item[0][0]))
    return tuple(_line(group, metric, axis, names.labels[key], names.looks[key]) for (key, _), group in ordered)


def bought(runs: Sequence[Run]) -> list[int]:
    """The rungs that bought something in any of the runs: one that bought nothing is no second point."""
    idle = frozenset.intersection(*(run.idle for run in runs))
    return [rung for rung in range(len(runs[0].series(runs[0].identity.metric))) if rung not in idle]


def intervals(runs: Sequence[Run], metric: str) -> tuple[Interval, ...]:
    """A metric at every rung of one run, or of several that differ in their seed alone, with intervals."""
    if len(runs) == 1:
        return tuple(Interval(point.value, point.ci_low, point.ci_high) for point in runs[0].series(metric))
    values = np.array([[point.value for point in run.series(metric)] for run in runs]).mean(axis=0)
    return tuple(_combined(runs, metric, place, float(value)) for place, value in enumerate(values))


def _combined(runs: Sequence[Run], metric: str, place: int, value: float) -> Interval:
    """One point of several seeds, whose mean is `value`: of single scores, over the conditions that all have."""
    if all(metric in run.set_metrics for run in runs):
        without = combine_seeds([run.replicates(metric)[place] for run in runs])
        return in_range(metric, Interval(value, *jackknife_interval(value, without)))
    if all(run.has_winners and metric in run.per_sample_metrics for run in runs):
        rows = np.stack([run.per_sample(metric)[run.series(metric)[place].rung] for run in runs])
        shared = applying(rows)
        if shared.size:
            mean, low, high = mean_interval(combine_seeds(list(shared)), metric=metric)
            alike = (np.isfinite(rows).sum(axis=1) == shared.shape[1]).all()
            return Interval(value if alike else mean, low, high)
    return Interval(value, float("nan"), float("nan"))


def _line(runs: Sequence[Run], metric: str, axis: str, label: str, appearance: Look) -> Line:
    costs = [cost(runs[0], point, axis) for point in runs[0].series(metric)]
    kept = bought(runs)
    order = [place for place in np.argsort(costs, kind="stable") if place in kept]
    rows = intervals(runs, metric)
    y, low, high = zip(*(rows[place] for place in order), strict=True)
    return Line(label, appearance, tuple(costs[place] for place in order), y, low, high, tuple(runs))
