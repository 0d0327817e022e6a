"""The picture and the small table that a run ends with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.analysis.figures.style import lower_is_better, pretty
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.ladders import joined
from scaling.analysis.runs.lines import Line, make_lines
from scaling.files import replacing

if TYPE_CHECKING:
    from rich.console import Console

PANEL = (3.6, 2.9)  # inches


def draw_curves(
    runs: Sequence[Run],
    path: Path | str,
    metrics: Sequence[str] | None = None,
    axis: str = "nfe",
    title: str | None = None,
) -> Path:
    """Draws quality against cost on a log axis, one panel per metric, a line per method with its 95 % interval.

    `metrics` are all that the runs have where None. The file's ending (png, pdf, svg) decides the format. ValueErrors
    name an unknown metric or axis.
    """
    if not runs:
        raise ValueError("there is no run to draw")
    runs = joined(runs)
    chosen = chosen_metrics(runs, metrics)
    figure, axes = new_figure(wrapped(len(chosen)))
    for panel, name in zip(axes, chosen, strict=True):
        draw_panel(panel, make_lines(runs, name, axis), axis)
        arrow = "lower is better" if lower_is_better(name) else "higher is better"
        panel.set_title(f"{pretty(name)} ({arrow})", fontsize=10)
    finish(figure, axes, title or runs[0].study)
    path = Path(path)
    save(figure, path)
    return path


def chosen_metrics(runs: Sequence[Run], metrics: Sequence[str] | None) -> tuple[str, ...]:
    """The metrics asked for, or all that the runs have; a ValueError names one that none has."""
    known = tuple(dict.fromkeys(name for run in runs for name in run.metrics))
    for name in metrics or ():
        if name not in known:
            raise ValueError(f"no run has the metric {name!r}; there are {', '.join(known)}")
    return tuple(metrics or known)


def new_figure(rows: Sequence[int]) -> tuple[Any, list[Any]]:
    """A figure with that many panels in each row, and its axes one after the other."""
    from matplotlib.figure import Figure

    columns = max(rows)
    figure = Figure(figsize=(max(PANEL[0] * columns, 6.0), PANEL[1] * len(rows) + 0.9), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, count in zip(grid, rows, strict=True):
        for spare in row[count:]:
            spare.set_visible(False)
    return figure, [panel for row, count in zip(grid, rows, strict=True) for panel in row[:count]]


def wrapped(panels: int) -> list[int]:
    """Rows of at most four panels (three where that fills them better)."""
    columns = min(panels, 4 if panels > 6 or panels == 4 else 3)
    return [min(columns, panels - start) for start in range(0, panels, columns)]


def draw_panel(panel: Any, lines: Sequence[Line], axis: str) -> None:
    """Draws the lines of one metric into a matplotlib axes."""
    for line in lines:
        color, marker, dash = line.look
        hollow = "white" if dash != "-" else color
        panel.plot(line.x, line.y, dash, color=color, marker=marker, ms=4, lw=1.5, mfc=hollow, label=line.label)
        if np.isfinite(line.low).any():
            panel.fill_between(line.x, line.low, line.high, color=color, alpha=0.12, lw=0)
            for edge in (line.low, line.high):
                panel.plot(line.x, edge, color=color, alpha=0.35, lw=0.6)
            if len(line.x) == 1:  # whose band has no width
                panel.vlines(line.x, line.low, line.high, color=color, alpha=0.35, lw=1.5)
    log_axis(panel, [x for line in lines for x in line.x if x > 0])
    panel.set_xlabel(pretty(axis))
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def log_axis(panel: Any, values: Sequence[float]) -> None:
    """A log axis whose few ticks are plain numbers, one at either end of the data."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, Locator, LogLocator, NullFormatter

    panel.set_xscale("log")
    low, high = min(values, default=1), max(values, default=1)
    wide = high / max(low, 1e-12) > 30
    locator: Locator = LogLocator(subs=(1.0, 3.0) if wide else (1.0, 2.0, 5.0), numticks=9)
    if high > low > 0:
        gap = max(high / low, 2.0) ** 0.16  # room for a number between two ticks
        inner = [tick for tick in locator.tick_values(low, high) if low * gap < tick < high / gap]
        locator = FixedLocator([low, *inner, high])
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    panel.xaxis.set_minor_formatter(NullFormatter())


def short_number(value: float) -> str:
    """A number for a tick: 300, 2,000, 30k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.4g}{letter}"
    return f"{value:,.4g}"


def finish(figure: Any, axes: Sequence[Any], title: str) -> None:
    """Puts the title above and one legend for all panels below them, clear of the data."""
    handles: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if title:
        figure.suptitle(title, fontsize=11)
    if handles:
        columns = max(1, int(figure.get_figwidth() // (0.9 + 0.065 * max(map(len, handles)))))
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=columns, fontsize=9, frameon=False
        )


def save(figure: Any, *paths: Path) -> None:
    """Writes a figure as each ending asks, laid out once; a reader sees the old file or the new one.

    A `$` in a prompt or a name is a dollar, not math; the temporary name is this call's own, whoever else writes.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    for path in paths:
        with replacing(path) as part:
            figure.savefig(part, dpi=150, format=path.suffix.removeprefix("."))


def print_table(run: Run, console: Console | None = None, metrics: Sequence[str] | None = None) -> None:
    """Prints a row per rung: candidates, NFE and the metrics (None: all) with half the width of their intervals.

    Where the terminal is too narrow the last metrics are left out and named below; no cell and no title is broken.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [metric for metric in run.metrics if metrics is None or metric in metrics]
    points = run.series(run.identity.metric)
    columns = [["candidates", *(f"{point.candidates:,.4g}" for point in points)]]
    columns.append(["NFE", *(f"{point.nfe:,.6g}" for point in points)])
    for metric in shown:
        cells = [with_error(point.value, point.ci_low, point.ci_high) for point in run.series(metric)[: len(points)]]
        columns.append([f"{pretty(metric)} {'↓' if lower_is_better(metric) else '↑'}", *cells])
    console = console or Console()
    if not console.is_terminal:
        console.width = 160  # a log has no edge to wrap at
    fitting = _fitting(columns, console.width)
    table = Table(header_style="bold")
    for heading, *_ in columns[:fitting]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in list(zip(*columns[:fitting], strict=True))[1:]:
        table.add_row(*row)
    console.print(Text(run.name, style="italic"), no_wrap=True, overflow="ellipsis")
    console.print(table)
    if left := shown[fitting - 2 :]:
        words = f"not shown here: {', '.join(map(pretty, left))} (show --metrics {left[0]} ...)"
        console.print(Text(words), no_wrap=True, overflow="ellipsis")


def _fitting(columns: Sequence[Sequence[str]], width: int) -> int:
    """How many columns a table of this width holds, two at least: each takes its cells and three more letters."""
    used = 1
    for count, cells in enumerate(columns):
        used += max(map(len, cells)) + 3
        if used > width and count >= 2:
            return count
    return len(columns)


def with_error(value: float, low: float, high: float) -> str:
    """A value with half its interval, to the digits that it supports: "14.3 ± 0.4"; a lopsided one whole."""
    if not np.isfinite(value):
        return "-"
    half = (high - low) / 2
    if not np.isfinite(half) or half <= 0:
        return f"{value:.4g}"
    digits = max(0, 1 - int(np.floor(np.log10(half))))
    if max(high - value, value - low) > 2 * min(high - value, value - low):  # cut off where the metric's range ends
        return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f} ± {half:.{digits}f}"
