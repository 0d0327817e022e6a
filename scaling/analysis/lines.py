"""Runs as labeled lines of points: what the curve picture, the figures and the report all draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling.analysis.folder import Run
from scaling.analysis.statistics import combine_seeds, jackknife_interval, mean_interval
from scaling.analysis.style import Look, look, pretty

KINDS = ("search", "verifier", "model")
AXES = ("nfe", "search_nfe", "forwards", "gflops", "candidates", "decodes", "verifier_calls")


@dataclass(frozen=True)
class Line:
    """One method's curve in one metric; rows rise with cost."""

    label: str
    look: Look
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    runs: tuple[Run, ...]


def make_lines(runs: Sequence[Run], metric: str, axis: str = "nfe") -> tuple[Line, ...]:
    """A line per method that has the metric, seeds combined; labels say only what differs between the runs.

    ValueError where the axis is unknown.
    """
    if axis not in AXES:
        raise ValueError(f"there is no cost axis {axis!r}; there are {', '.join(AXES)}")
    kinds = varying_kinds(runs)
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        if metric in run.metrics:
            groups.setdefault((run_key(run), _ladder(run, metric)), []).append(run)
    return tuple(_line(group, metric, axis, kinds) for group in groups.values())


def run_key(run: Run) -> tuple[str, str, str, float]:
    """What a run compares: its search, verifier, model and guidance scale (its seed is no comparison)."""
    point = run.identity
    verifier = "" if point.search in ("steps", "none") else point.verifier  # without a search nothing is verified
    return point.search, verifier, point.model, point.guidance_scale


def varying_kinds(runs: Sequence[Run]) -> tuple[str, ...]:
    """Which of search, verifier, model and guidance scale differ between runs that search."""
    keys = [run_key(run) for run in runs]
    searching = [key for key in keys if key[0] not in ("steps", "none")] or keys
    plain = [key for key in searching if key[1] != "control"] or searching
    names = (*KINDS, "guidance_scale")
    return tuple(name for place, name in enumerate(names) if len({key[place] for key in plain}) > 1)


def label_and_look(run: Run, kinds: Sequence[str]) -> tuple[str, Look]:
    """A run's name and look among runs that differ in these kinds; the baselines always look the same."""
    search, verifier, model, scale = run_key(run)
    values = {"search": search, "verifier": verifier, "model": model, "guidance_scale": f"guidance {scale:g}"}
    if verifier == "control":
        parts, appearance = [k for k in kinds if k != "verifier"], look("verifier", "control")
        return _join(pretty("control"), *(pretty(values[kind]) for kind in parts)), appearance
    if search in ("steps", "none"):
        parts = [kind for kind in kinds if kind in ("model", "guidance_scale")]
        return _join(pretty("steps"), *(pretty(values[kind]) for kind in parts)), look("search", "steps")
    first = next((kind for kind in KINDS if kind in kinds), "search")
    return _join(*(pretty(values[kind]) for kind in kinds)) or f"{pretty(search)} search", look(first, values[first])


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _ladder(run: Run, metric: str) -> tuple[float, ...]:
    return tuple(point.nfe for point in run.series(metric))


def _line(runs: Sequence[Run], metric: str, axis: str, kinds: Sequence[str]) -> Line:
    points = runs[0].series(metric)
    label, appearance = label_and_look(runs[0], kinds)
    rows = [(p.value, p.ci_low, p.ci_high) for p in points] if len(runs) == 1 else _combined(runs, metric)
    order = np.argsort([getattr(point, axis) for point in points], kind="stable")
    y, low, high = zip(*(rows[place] for place in order), strict=True)
    x = tuple(float(getattr(points[place], axis)) for place in order)
    return Line(label, appearance, x, y, low, high, tuple(runs))


def _combined(runs: Sequence[Run], metric: str) -> list[tuple[float, float, float]]:
    """The metric over seeds at every rung, with the interval of the combination."""
    values = np.array([[point.value for point in run.series(metric)] for run in runs]).mean(axis=0)
    rows = []
    for rung, value in enumerate(values):
        if all(metric in run.set_metrics for run in runs):
            interval = jackknife_interval(value, combine_seeds([run.replicates(metric)[rung] for run in runs]))
        elif all(metric in run.per_sample_metrics for run in runs):
            _, *interval = mean_interval(combine_seeds([run.per_sample(metric)[rung] for run in runs]))
        else:
            interval = float("nan"), float("nan")
        rows.append((float(value), float(interval[0]), float(interval[1])))
    return rows
