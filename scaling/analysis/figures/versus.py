"""Methods against random search at equal budgets: a dot and a paired interval for each, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scaling.analysis.curve_plot import finish, new_figure, short_number
from scaling.analysis.figures.specs import Figure
from scaling.analysis.folder import Run, shared_conditions
from scaling.analysis.statistics import Interval, paired_mean_difference, paired_set_difference
from scaling.analysis.style import BLUE, GRAY, RED, SKY, look, lower_is_better, pretty

BASE = "random"
BUDGETS = (SKY, BLUE, RED)


def draw(figure: Figure, runs: Sequence[Run]) -> Any:
    """A panel per metric, a row per method (the best at the largest budget of the first metric on top)."""
    base, others = sorted_runs(figure, runs)
    rungs = len(base.series(figure.metrics[0]))
    picture, axes = new_figure([len(figure.metrics)])
    picture.set_size_inches(3.2 * len(figure.metrics) + 0.8, 0.42 * len(others) + 1.6)
    for panel, metric in zip(axes, figure.metrics, strict=True):
        for rung in range(rungs):
            offset = 0.22 * (rung - (rungs - 1) / 2)
            rows = [difference(run, base, metric, rung) for run in others]
            color = BUDGETS[rung * (len(BUDGETS) - 1) // max(rungs - 1, 1)]
            label = f"{short_number(_nfe(base, rung))} NFE"
            places = np.arange(len(rows)) + offset
            panel.plot([row.value for row in rows], places, "o", color=color, ms=4, label=label)
            for row, place in zip(rows, places, strict=True):
                panel.plot([row.low, row.high], [place, place], color=color, lw=1.2)
        panel.axvline(0, color=GRAY, lw=0.8)
        arrow = "lower is better" if lower_is_better(metric) else "higher is better"
        panel.set_title(f"{pretty(metric)} ({arrow})", fontsize=10)
        panel.set_yticks(
            range(len(others)), [pretty(run.identity.search) for run in others] if panel is axes[0] else []
        )
        for tick, run in zip(panel.get_yticklabels(), others, strict=False):
            tick.set_color(look("search", run.identity.search).color)
        panel.set_ylim(len(others) - 0.5, -0.5)
        panel.set_xlabel(f"difference to {pretty(BASE)} search")
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    finish(picture, axes, figure.title)
    return picture


def markdown(figure: Figure, runs: Sequence[Run]) -> str:
    """Random search's values, then every method's differences to it; bold where the interval leaves 0 out."""
    base, others = sorted_runs(figure, runs)
    rungs = range(len(base.series(figure.metrics[0])))
    heads = [f"{pretty(metric)}, {short_number(_nfe(base, rung))}" for metric in figure.metrics for rung in rungs]
    lines = [f"| search | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    cells = [f"{base.series(metric)[rung].value:.3f}" for metric in figure.metrics for rung in rungs]
    lines.append(f"| {pretty(BASE)} | {' | '.join(cells)} |")
    for run in others:
        cells = [_cell(difference(run, base, metric, rung)) for metric in figure.metrics for rung in rungs]
        lines.append(f"| {pretty(run.identity.search)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def sorted_runs(figure: Figure, runs: Sequence[Run]) -> tuple[Run, list[Run]]:
    """Random search, and the others, best first; a ValueError where they cannot be compared."""
    bases = [run for run in runs if run.identity.search == BASE]
    if len(bases) != 1:
        raise ValueError(f"a comparison needs one run of {BASE} search, not {len(bases)}")
    (base,), metric = bases, figure.metrics[0]
    rungs = len(base.series(metric))
    others = [run for run in runs if run is not base and _ladder(run) == _ladder(base) and metric in run.metrics]
    others = [run for run in others if len(run.series(metric)) == rungs]
    if not others or not shared_conditions([base, *others]):
        raise ValueError(f"no run has the conditions and budgets of {base.path}")
    sign = 1 if lower_is_better(metric) else -1
    return base, sorted(others, key=lambda run: sign * run.series(metric)[-1].value)


def difference(run: Run, base: Run, metric: str, rung: int) -> Interval:
    """A metric of one run minus that of the other at a rung, paired by conditions or by the jackknife's groups."""
    value, other = run.series(metric)[rung].value, base.series(metric)[rung].value
    if metric in run.set_metrics and metric in base.set_metrics:
        return paired_set_difference(value, run.replicates(metric)[rung], other, base.replicates(metric)[rung])
    ours, theirs = run.per_sample(metric), base.per_sample(metric)
    if ours.shape != theirs.shape:  # it does not apply to the same samples
        return Interval(value - other, float("nan"), float("nan"))
    return paired_mean_difference(ours[rung], theirs[rung])


def _ladder(run: Run) -> Any:
    budget = run.config.get("budget") or {}
    return budget.get("nfe"), budget.get("candidates")


def _nfe(base: Run, rung: int) -> float:
    return base.series(base.identity.metric)[rung].search_nfe


def _cell(row: Interval) -> str:
    text = f"{row.value:+.3f} [{row.low:.3f}, {row.high:.3f}]"
    return f"**{text}**" if row.excludes_zero else text
