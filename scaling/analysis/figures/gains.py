"""Figures of relative gain over no search: bars at the largest budget, or curves over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scaling.analysis.figures import paper
from scaling.analysis.figures.curve_plot import draw_panel, finish, new_figure, wrapped
from scaling.analysis.figures.specs import Figure, shown
from scaling.analysis.figures.style import GRAY, look, pretty
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.lines import Line, make_lines
from scaling.analysis.runs.names import NO_SEARCH, key_of, order
from scaling.statistics import Interval, applying, paired_mean_difference

SUFFIX = "_relative_gain_percent"


def draw_bars(figure: Figure, number: int | None, runs: Sequence[Run], with_paper: bool) -> Any:
    """A group of bars per metric, one bar per verifier, at each run's largest budget; the paper's as hollow bars."""
    searching = _searching(runs)
    metrics = shown(figure, searching)
    bars = [
        (run.identity.verifier, False, {m: gain(run, m, -1) for m in metrics if m in run.metrics}) for run in searching
    ]
    if with_paper and number is not None:
        bars += _paper_bars(number)
    groups = [m for m in dict.fromkeys([*metrics, *figure.metrics]) if any(m in values for _, _, values in bars)]
    picture, (panel,) = new_figure([1])
    count = sum(metric in values for _, _, values in bars for metric in groups)
    picture.set_size_inches(max(6.0, 0.35 * count + 2), 3.8)
    for x, metric in enumerate(groups):
        mine = [bar for bar in bars if metric in bar[2]]
        for place, (verifier, hollow, values) in enumerate(mine):
            width = 0.8 / len(mine)
            _bar(panel, x - 0.4 + width * (place + 0.5), values[metric], width, verifier, hollow)
    panel.axhline(0, color=GRAY, lw=0.8)
    panel.set_xticks(range(len(groups)), [pretty(metric) for metric in groups])
    panel.set_ylabel("relative gain, %")
    panel.spines[["top", "right"]].set_visible(False)
    finish(picture, [panel], figure.title)
    return picture


def draw_lines(figure: Figure, number: int | None, runs: Sequence[Run], axis: str, with_paper: bool) -> Any:
    """A panel per metric: its relative gain in percent against cost."""
    searching = _searching(runs)
    metrics = shown(figure, searching)
    known = paper.curves(number) if with_paper and number is not None and axis in ("nfe", "paper_nfe") else ()
    panels = [(m, tuple(_relative(line, m) for line in make_lines(searching, m, axis))) for m in metrics]
    panels += [
        (curve.metric.removesuffix(SUFFIX), paper.lines((curve,), known, ("verifier",)))
        for curve in known
        if curve.metric.endswith(SUFFIX)
    ]
    merged: dict[str, tuple[Line, ...]] = {}
    for metric, lines in panels:
        merged[metric] = merged.get(metric, ()) + lines
    picture, axes = new_figure(wrapped(len(merged)))
    for panel, (metric, lines) in zip(axes, merged.items(), strict=True):
        draw_panel(panel, lines, axis)
        panel.set_title(pretty(metric), fontsize=10)
        panel.set_ylabel("relative gain, %")
    finish(picture, axes, figure.title)
    return picture


def _searching(runs: Sequence[Run]) -> list[Run]:
    return sorted((run for run in runs if run.identity.search not in NO_SEARCH), key=lambda run: order(key_of(run)))


def gain(run: Run, metric: str, rung: int) -> Interval:
    """Percent by which a metric at a rung is above its smallest budget, paired by condition where scores are here.

    Conditions that a score does not apply to at one of the two (an image that cannot be read) are left out.
    """
    points = run.series(metric)
    base, change = points[0].value, Interval(points[rung].value - points[0].value, float("nan"), float("nan"))
    if run.has_winners and metric in run.per_sample_metrics:
        before, after = applying(run.per_sample(metric, (0, rung)))
        if before.size:
            base, change = float(before.mean()), paired_mean_difference(after, before)
    if base == 0:
        raise ValueError(f"{run.path}: {metric} is 0 at the smallest budget, so that no gain is relative to it")
    return Interval(*(100 * value / abs(base) for value in change))


def _relative(line: Line, metric: str) -> Line:
    """A line as percent above its first point, with paired intervals; of several seeds with none."""
    if len(line.runs) == 1:
        y, low, high = zip(*(gain(line.runs[0], metric, rung) for rung in range(len(line.y))), strict=True)
        return replace(line, y=y, low=low, high=high)
    blank = tuple(float("nan") for _ in line.y)
    return replace(line, y=tuple(100 * (value / line.y[0] - 1) for value in line.y), low=blank, high=blank)


def _paper_bars(number: int) -> list[tuple[str, bool, dict[str, Interval]]]:
    bars: dict[str, dict[str, Interval]] = {}
    for curve in paper.curves(number):
        nan = float("nan")
        bars.setdefault(curve.verifier, {})[curve.metric.removesuffix(SUFFIX)] = Interval(curve.value[-1], nan, nan)
    return [(verifier, True, values) for verifier, values in bars.items()]


def _bar(panel: Any, x: float, value: Interval, width: float, verifier: str, hollow: bool) -> None:
    color = look("verifier", verifier).color
    label = f"paper: {pretty(verifier)}" if hollow else pretty(verifier)
    fill = {"facecolor": "white", "edgecolor": color, "hatch": "//"} if hollow else {"color": color}
    error = [[value.value - value.low], [value.high - value.value]] if np.isfinite(value.low) else None
    panel.bar(x, value.value, width * 0.9, yerr=error, capsize=2, label=label, **fill)
