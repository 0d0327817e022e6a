"""Best-of-n statistics of a pool as a table, a csv and a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.analysis.figures.curve_plot import draw_panel, finish, new_figure, save, with_error, wrapped
from scaling.analysis.figures.style import look, pretty
from scaling.analysis.questions.pool import Pool, Row
from scaling.analysis.runs.lines import Line

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = ("guide", "value", "n", "mean", "low", "high", "covers", "single_subset", "fixed_low", "fixed_high")


def print_rows(pool: Pool, rows: Sequence[Row], console: Console | None = None) -> None:
    """Prints a table per reported value: a row per n, a column per guide; a star marks a single subset."""
    from rich.console import Console
    from rich.table import Table

    console = console or Console()
    conditions = len(next(iter(pool.scores.values())))
    left_out = f", {pool.dropped} candidates left out to make them equal" if pool.dropped else ""
    lost = f", {pool.lost} conditions left out, where no candidate has all scores" if pool.lost else ""
    console.print(f"{conditions} conditions of {pool.size} candidates{left_out}{lost}", highlight=False)
    if pool.note:
        console.print(pool.note, highlight=False)
    for value in dict.fromkeys(row.value for row in rows):
        mine = [row for row in rows if row.value == value]
        guides = list(dict.fromkeys(row.guide for row in mine))
        table = Table(title=f"{pretty(value)} of the best of n", title_justify="left")
        table.add_column("n", justify="right")
        for guide in guides:
            table.add_column(f"by {pretty(guide)}", justify="right")
        for n in dict.fromkeys(row.n for row in mine):
            cells = {row.guide: _cell(row) for row in mine if row.n == n}
            table.add_row(str(n), *(cells.get(guide, "") for guide in guides))
        console.print(table)
        known = any(row.fixed[0] == row.fixed[0] for row in mine)
        narrow = ", in brackets that over these very conditions" if known else ""
        console.print(f"± covers {mine[0].covers}{narrow}", highlight=False)


def _cell(row: Row) -> str:
    low, high = row.fixed
    narrow = "" if low != low else f" (± {(high - low) / 2:.2g})"
    return with_error(*row.interval) + "*" * row.single + narrow


def write_rows(rows: Sequence[Row], path: Path) -> Path:
    """Writes the rows as csv, or as a picture where the path ends in png, pdf or svg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".png", ".pdf", ".svg"):
        _draw(rows, path)
        return path
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.guide, row.value, row.n, *row.interval, row.covers, row.single, *row.fixed) for row in rows)
    path.write_text(out.getvalue())
    return path


def _draw(rows: Sequence[Row], path: Path) -> None:
    values = list(dict.fromkeys(row.value for row in rows))
    figure, axes = new_figure(wrapped(len(values)))
    for panel, value in zip(axes, values, strict=True):
        lines = []
        for guide in dict.fromkeys(row.guide for row in rows if row.value == value):
            mine = [row for row in rows if row.value == value and row.guide == guide]
            y, low, high = zip(*(row.interval for row in mine), strict=True)
            x = tuple(float(row.n) for row in mine)
            lines.append(Line(f"picked by {pretty(guide)}", look("verifier", guide), x, y, low, high))
        draw_panel(panel, lines, "candidates")
        panel.set_title(pretty(value), fontsize=10)
    finish(figure, axes, "Best of n, over all subsets of the pool")
    save(figure, path)
