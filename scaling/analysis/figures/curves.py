"""Figures of quality against cost: a row of panels per metric, a column per value of a field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scaling.analysis.costs import cost
from scaling.analysis.curve_plot import draw_panel, finish, new_figure
from scaling.analysis.figures import paper
from scaling.analysis.figures.specs import Figure
from scaling.analysis.folder import Run
from scaling.analysis.lines import Line, make_lines
from scaling.analysis.names import NO_SEARCH, Names
from scaling.analysis.style import lower_is_better, pretty

PAPER_AXES = {"nfe": ("nfe", "paper_nfe", "search_nfe"), "gflops": ("gflops", "paper_gflops")}


@dataclass(frozen=True)
class Panel:
    """What one pair of axes holds."""

    title: str
    axis: str
    lines: tuple[Line, ...]


def draw(figure: Figure, number: int | None, runs: Sequence[Run], axis: str | None, with_paper: bool) -> Any:
    """The figure; the paper's curves lie over ours where the models are the same and below them where not."""
    axis = axis or figure.axis
    names = Names(tuple(runs))
    metrics = _metrics(figure, runs)
    values = _columns(figure, runs)
    panels = [_panel(figure, runs, metric, value, axis, names) for metric in metrics for value in values]
    if with_paper and number is not None:
        panels = _with_paper(figure, number, runs, panels, metrics, values, axis)
    panels = [panel for panel in panels if panel.lines]
    if not panels:
        raise ValueError(f"none of the runs shows what this figure compares ({figure.title})")
    columns = min(4, len(values) if len(values) > 1 else len(metrics))
    picture, axes = new_figure(len(panels), max(columns, 1))
    for place, panel in zip(axes, panels, strict=True):
        draw_panel(place, panel.lines, panel.axis)
        place.set_title(panel.title, fontsize=9)
    finish(picture, axes, figure.title)
    return picture


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
    found = [getattr(run.identity, figure.columns) for run in runs if not _is_baseline(run)]
    return tuple(dict.fromkeys(found)) or (None,)


def _is_baseline(run: Run) -> bool:
    return run.identity.search in NO_SEARCH or run.identity.verifier == "control"


def _panel(figure: Figure, runs: Sequence[Run], metric: str, value: str | None, axis: str, names: Names) -> Panel:
    chosen = _only(figure, runs, metric)
    if value is not None:
        chosen = [run for run in chosen if _is_baseline(run) or getattr(run.identity, str(figure.columns)) == value]
    lines = make_lines([run for run in chosen if _has_axis(run, axis)], metric, axis, names)
    return Panel(_title(metric, value), axis, lines)


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
    return ", ".join(part for part in (f"{pretty(metric)} {arrow}", pretty(value) if value else "", source) if part)


def _with_paper(
    figure: Figure,
    number: int,
    runs: Sequence[Run],
    panels: list[Panel],
    metrics: Sequence[str],
    values: Sequence[str | None],
    axis: str,
) -> list[Panel]:
    """Adds the paper's curves to our panels where the model is the paper's, else as panels of their own."""
    known = [curve for curve in paper.curves(number) if axis in PAPER_AXES.get(curve.unit, ())]
    models = {run.identity.model for run in runs}
    if not any(curve.model in models for curve in known):
        return panels + _paper_panels(figure, known)
    laid = []
    for place, panel in enumerate(panels):
        metric, value = metrics[place // len(values)], values[place % len(values)]
        mine = [c for c in known if c.metric == metric and c.model in models and _belongs(figure, c, value)]
        laid.append(Panel(panel.title, panel.axis, panel.lines + paper.lines(tuple(mine))))
    return laid


def _belongs(figure: Figure, curve: paper.Curve, value: str | None) -> bool:
    return value is None or str(getattr(curve, str(figure.columns))).startswith(value)


def _paper_panels(figure: Figure, known: Sequence[paper.Curve]) -> list[Panel]:
    families: dict[tuple[str, str | None], list[paper.Curve]] = {}
    for curve in known:
        value = getattr(curve, figure.columns) if figure.columns else None
        if value and figure.columns == "search":
            value = value.rstrip("0123456789").rstrip("_")
        families.setdefault((curve.metric, value), []).append(curve)
    panels = []
    for (metric, value), mine in families.items():
        source = f"the paper's {' and '.join(dict.fromkeys(pretty(curve.model) for curve in mine))}"
        source = "the paper's models" if len({curve.model for curve in mine}) > 1 else source
        panels.append(Panel(_title(metric, value, source), f"paper_{mine[0].unit}", paper.lines(tuple(mine))))
    return panels
