"""Figures of quality against cost: a row of panels per metric, a column per value of a field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scaling.analysis.figures import paper
from scaling.analysis.figures.curve_plot import draw_panel, finish, new_figure
from scaling.analysis.figures.specs import Figure
from scaling.analysis.figures.style import family, lower_is_better, pretty, rank
from scaling.analysis.runs.costs import cost
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.lines import Line, make_lines
from scaling.analysis.runs.names import NO_SEARCH, Names
from scaling.schema import Point

PAPER_AXES = {"nfe": ("nfe", "paper_nfe", "search_nfe"), "gflops": ("gflops", "paper_gflops")}


@dataclass(frozen=True)
class Panel:
    """What one pair of axes holds."""

    metric: str
    column: str | None
    title: str
    axis: str
    lines: tuple[Line, ...]


def draw(figure: Figure, number: int | None, runs: Sequence[Run], axis: str | None, with_paper: bool) -> Any:
    """The figure; the paper's curves lie over ours where the models are the same and below them where not."""
    axis = axis or figure.axis
    known = paper.curves(number) if with_paper and number is not None else ()
    known = tuple(curve for curve in known if axis in PAPER_AXES.get(curve.unit, ()))
    metrics, values = _metrics(figure, runs), _columns(figure, runs)
    same = {run.identity.model for run in runs} & {curve.model for curve in known}
    laid = [curve for curve in known if curve.model in same]
    rows = _rows([_panel(figure, runs, metric, value, axis, laid) for metric in metrics for value in values])
    if known and not same:
        rows += _rows(_paper_panels(figure, known))
    if not rows:
        raise ValueError(f"none of the runs shows what this figure compares ({figure.title})")
    picture, axes = new_figure([len(row) for row in rows])
    for place, panel in zip(axes, (panel for row in rows for panel in row), strict=True):
        draw_panel(place, panel.lines, panel.axis)
        place.set_title(panel.title, fontsize=9)
    finish(picture, axes, figure.title)
    return picture


def _rows(panels: Sequence[Panel]) -> list[list[Panel]]:
    """A row per metric where there are columns, else one row of all metrics; empty panels are left out."""
    panels = [panel for panel in panels if panel.lines]
    if all(panel.column is None for panel in panels):
        return [list(panels)] if panels else []
    rows: dict[str, list[Panel]] = {}
    for panel in panels:
        rows.setdefault(panel.metric, []).append(panel)
    if len({panel.metric for panel in panels}) == 1:
        return [list(panels)]
    return list(rows.values())


def _metrics(figure: Figure, runs: Sequence[Run]) -> tuple[str, ...]:
    known = {metric for run in runs for metric in run.metrics}
    metrics = tuple(metric for metric in figure.metrics if metric in known)
    if not metrics:
        wanted, got = ", ".join(figure.metrics), ", ".join(sorted(known))
        raise ValueError(f"this figure shows {wanted}, and the runs have {got}; add what is missing to metrics=")
    return metrics


def _columns(figure: Figure, runs: Sequence[Run]) -> tuple[str | None, ...]:
    if figure.columns is None:
        return (None,)
    found = {_column(figure, run.identity) for run in runs if not _is_baseline(run)}
    return tuple(sorted(found, key=lambda name: rank(str(figure.columns), str(name)))) or (None,)


def _is_baseline(run: Run) -> bool:
    return run.identity.search in NO_SEARCH or run.identity.verifier == "control"


def _panel(
    figure: Figure,
    runs: Sequence[Run],
    metric: str,
    value: str | None,
    axis: str,
    laid: Sequence[paper.Curve],
) -> Panel:
    """One of our panels, with the paper's curves of the same models over it."""
    chosen = _only(figure, runs, metric)
    names = Names(tuple(chosen))
    if value is not None:
        chosen = [run for run in chosen if _is_baseline(run) or _column(figure, run.identity) == value]
    lines = make_lines([run for run in chosen if _has_axis(run, axis)], metric, axis, names)
    context = [curve for curve in laid if curve.metric == metric]
    over = [curve for curve in context if value in (None, _column(figure, curve))]
    return Panel(metric, value, _title(metric, value), axis, lines + paper.lines(over, context, names.varying))


def _only(figure: Figure, runs: Sequence[Run], metric: str) -> list[Run]:
    """The runs that the paper shows in this metric; all of them where none of the paper's choices was run."""
    chosen = list(runs)
    for name, accepted in figure.only.get(metric, {}).items():
        kept = [run for run in chosen if _is_baseline(run) or getattr(run.identity, name) in accepted]
        if any(not _is_baseline(run) for run in kept):
            chosen = kept
    return chosen


def _has_axis(run: Run, axis: str) -> bool:
    """Whether the run can be placed on the axis; the paper has none for methods of its own followers."""
    try:
        cost(run, run.identity, axis)
    except ValueError:
        if axis.startswith("paper_"):
            return False
        raise
    return True


def _title(metric: str, value: str | None, source: str = "") -> str:
    arrow = "↓" if lower_is_better(metric) else "↑"
    title = f"{pretty(metric)} {arrow}" + (f", {pretty(value)}" if value else "")
    return f"{title}\n({source})" if source else title


def _column(figure: Figure, curve: Point | paper.Curve) -> str | None:
    """Which of the figure's columns a curve of ours or of the paper belongs to: variants of a method share one."""
    return family(figure.columns, getattr(curve, figure.columns)) if figure.columns else None


def _paper_panels(figure: Figure, known: Sequence[paper.Curve]) -> list[Panel]:
    """The paper's own panels, in our order."""
    groups: dict[tuple[str, str | None], list[paper.Curve]] = {}
    for curve in known:
        groups.setdefault((curve.metric, _column(figure, curve)), []).append(curve)
    panels = []
    for (metric, value), mine in sorted(groups.items(), key=lambda item: _place(figure, *item[0])):
        models = {curve.model for curve in mine}
        source = f"the paper's {pretty(models.pop())}" if len(models) == 1 else "the paper's models"
        lines = paper.lines(mine, [curve for curve in known if curve.metric == metric])
        panels.append(Panel(metric, value, _title(metric, value, source), f"paper_{mine[0].unit}", lines))
    return panels


def _place(figure: Figure, metric: str, value: str | None) -> tuple:
    listed = figure.metrics.index(metric) if metric in figure.metrics else len(figure.metrics)
    return (listed, *rank(figure.columns or "", value or ""))
