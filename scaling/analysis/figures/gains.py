"""Figures of relative gain over no search: bars at the largest budget, or curves over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scaling.analysis.curve_plot import draw_panel, finish, new_figure, wrapped
from scaling.analysis.figures import paper
from scaling.analysis.figures.specs import Figure
from scaling.analysis.folder import Run
from scaling.analysis.lines import Line, make_lines
from scaling.analysis.names import NO_SEARCH
from scaling.analysis.statistics import Interval, paired_mean_difference
from scaling.analysis.style import GRAY, look, pretty

SUFFIX = "_relative_gain_percent"


def draw_bars(figure: Figure, number: int | None, runs: Sequence[Run], with_paper: bool) -> Any:
    """A group of bars per metric, one bar per verifier, at each run's largest budget; the paper's as hollow bars."""
    searching = [run for run in runs if run.identity.search not in NO_SEARCH]
    metrics = _metrics(figure, searching)
    bars = [
        (run.identity.verifier, False, {m: gain(run, m, -1) for m in metrics if m in run.metrics}) for run in searching
    ]
    if with_paper and number is not None:
        bars += _paper_bars(number)
    shown = [m for m in dict.fromkeys([*metrics, *figure.metrics]) if any(m in values for _, _, values in bars)]
    picture, (panel,) = new_figure([1])
    picture.set_size_inches(max(6.0, 0.3 * len(bars) * len(shown) + 2), 3.8)
    width = 0.8 / len(bars)
    for place, (verifier, hollow, values) in enumerate(bars):
        mine = [(x, values[metric]) for x, metric in enumerate(shown) if metric in values]
        _bar(panel, [x - 0.4 + width * (place + 0.5) for x, _ in mine], [v for _, v in mine], width, verifier, hollow)
    panel.axhline(0, color=GRAY, lw=0.8)
    panel.set_xticks(range(len(shown)), [pretty(metric) for metric in shown])
    panel.set_ylabel("relative gain, %")
    panel.spines[["top", "right"]].set_visible(False)
    finish(picture, [panel], figure.title)
    return picture


def draw_lines(figure: Figure, number: int | None, runs: Sequence[Run], axis: str, with_paper: bool) -> Any:
    """A panel per metric: its relative gain in percent against cost."""
    searching = [run for run in runs if run.identity.search not in NO_SEARCH]
    metrics = _metrics(figure, searching)
    known = paper.curves(number) if with_paper and number is not None and axis in ("nfe", "paper_nfe") else ()
    panels = [(metric, tuple(_relative(line) for line in make_lines(searching, metric, axis))) for metric in metrics]
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


def gain(run: Run, metric: str, rung: int) -> Interval:
    """Percent by which a metric at a rung is above its smallest budget, paired by condition where scores are here."""
    points = run.series(metric)
    base = points[0].value
    value = 100 * (points[rung].value - base) / abs(base)
    if not (run.has_winners and metric in run.per_sample_metrics):
        return Interval(value, float("nan"), float("nan"))
    scores = run.per_sample(metric)
    interval = paired_mean_difference(scores[rung], scores[0])
    return Interval(value, 100 * interval.low / abs(base), 100 * interval.high / abs(base))


def _relative(line: Line) -> Line:
    """A line as percent above its first point, with the paired interval of the first run."""
    base = abs(line.y[0])
    y, low, high = (tuple(100 * (np.array(each) - line.y[0]) / base) for each in (line.y, line.low, line.high))
    return Line(line.label, line.look, line.x, y, low, high, line.runs)


def _metrics(figure: Figure, runs: Sequence[Run]) -> list[str]:
    """The figure's metrics, or where the runs have none of them every per-sample score that they have."""
    known = list(dict.fromkeys(metric for run in runs for metric in run.metrics))
    scores = [m for m in known if any(run.has_winners and m in run.per_sample_metrics for run in runs)]
    return [metric for metric in figure.metrics if metric in known] or scores or known


def _paper_bars(number: int) -> list[tuple[str, bool, dict[str, Interval]]]:
    bars: dict[str, dict[str, Interval]] = {}
    for curve in paper.curves(number):
        nan = float("nan")
        bars.setdefault(curve.verifier, {})[curve.metric.removesuffix(SUFFIX)] = Interval(curve.value[-1], nan, nan)
    return [(verifier, True, values) for verifier, values in bars.items()]


def _bar(panel: Any, x: list[float], values: list[Interval], width: float, verifier: str, hollow: bool) -> None:
    color = look("verifier", verifier).color
    bounds = np.array([[v.value - v.low, v.high - v.value] for v in values]).T
    label = f"paper: {pretty(verifier)}" if hollow else pretty(verifier)
    fill = {"facecolor": "white", "edgecolor": color, "hatch": "//"} if hollow else {"color": color}
    error = None if hollow or not np.isfinite(bounds).any() else np.nan_to_num(bounds)
    panel.bar(x, [v.value for v in values], width * 0.9, yerr=error, capsize=2, label=label, **fill)
