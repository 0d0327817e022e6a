"""The contest: every method against random search under each judge, as a picture and as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaling.analysis.figures.curve_plot import finish, new_figure, short_number
from scaling.analysis.figures.specs import Figure
from scaling.analysis.figures.style import BLUE, GRAY, RED, SKY, grid, pretty, signed
from scaling.analysis.questions.contest import (
    COSTS,
    OWN,
    SETS,
    Cell,
    Entry,
    base_of,
    cells_of,
    differences,
    entries,
    ranked,
)
from scaling.analysis.runs.folder import Run
from scaling.statistics import Interval

BUDGETS = (SKY, BLUE, RED)
HEADS = (OWN, *SETS)


def draw(figure: Figure, runs: Sequence[Run]) -> Any:
    """A panel per judge, a row per method (the best in the mean over all cells on top), a dot per budget."""
    found = entries(runs)
    cells = cells_of(found)
    others = ranked([entry for entry in found if entry is not base_of(found, entry)])
    judges = list(dict.fromkeys(judge for judge, _ in cells))
    caps = sorted({budget for _, budget in cells})
    picture, axes = new_figure([len(judges)])
    picture.set_size_inches(3.2 * len(judges) + 1.4, 0.36 * len(others) + 1.6)
    for panel, judge in zip(axes, judges, strict=True):
        draw_differences(panel, [differences(entry, base_of(found, entry), judge) for entry in others], caps)
        panel.set_title(pretty(judge), fontsize=10)
        panel.set_yticks(range(len(others)), [e.label for e in others] if panel is axes[0] else [])
        panel.set_xlabel("accuracy, difference to random search")
    finish(picture, axes, figure.title)
    return picture


def markdown(runs: Sequence[Run]) -> str:
    """Random search's accuracy and every method's difference to it in each cell, bold where its interval leaves 0 out.

    Then the mean over all cells, of methods that were run in all of them. A second table says what else was measured.
    Each model and guidance scale has a random search of its own, to which its methods are compared.
    """
    found = entries(runs)
    cells, bases = cells_of(found), [entry for entry in found if entry is base_of(found, entry)]
    head = ["search", *(_name(cell) for cell in cells), "mean of all"]
    rows = [[base.label, *_values(base, cells), _mean(base, cells)] for base in bases]
    others = ranked([entry for entry in found if entry is not base_of(found, entry)])
    for entry in others:
        base = base_of(found, entry)
        apart = {(judge, b): d for judge, _ in cells for b, d in differences(entry, base, judge).items()}
        row = [signed(apart[cell]) if cell in apart else "" for cell in cells]
        rows.append([entry.label, *row, _mean(entry, cells)])
    return grid(head, rows) + "\n\n" + _beside([*bases, *others], cells)


def _beside(found: Sequence[Entry], cells: Sequence[Cell]) -> str:
    """What else was measured at the largest budget: by judge, parted by slashes; costs are means over the judges."""
    last = max(budget for _, budget in cells)
    those = [cell for cell in cells if cell[1] == last]
    judges, costs = " / ".join(pretty(judge) for judge, _ in those), {"total_gflops": "GFLOPs"}
    head = [f"search, {short_number(last)} NFE", *(f"{pretty(name)}: {judges}" for name in HEADS)]
    rows = []
    for entry in found:
        if there := [cell for cell in those if entry.has([cell])]:
            by_judge = [[entry.beside[cell][name] if cell in there else math.nan for cell in those] for name in HEADS]
            spent = [_number(float(np.mean([entry.beside[cell][name] for cell in there]))) for name in COSTS]
            rows.append([entry.label, *(" / ".join(map(_number, each)) for each in by_judge), *spent])
    return grid([*head, *(costs.get(name, name) for name in COSTS)], rows) + "\n"


def leaderboard(runs: Sequence[Run]) -> str:
    """A row per method, best first: the mean over all cells with its interval, each cell, what the largest costs.

    With several seeds the mean has a second interval, for these very prompts.
    """
    found = entries(runs)
    cells = cells_of(found)
    head = ["search", "mean", *(_name(cell) for cell in cells), "decodes", "seconds", "prompts", "seeds"]
    rows = []
    for entry in ranked(found):
        last = [cell for cell in cells if cell in entry.values][-1]
        values = _values(entry, cells)
        costs = [_number(entry.beside[last][name]) for name in ("decodes", "seconds")]
        mean = _mean(entry, cells) + _of_these(entry, cells)
        rows.append([entry.label, mean, *values, *costs, str(entry.prompts), str(entry.seeds)])
    return grid(head, rows) + "\n"


def _number(value: float) -> str:
    """Three digits; nothing where it is not known."""
    return "" if math.isnan(value) else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _values(entry: Entry, cells: Sequence[Cell]) -> list[str]:
    return [f"{entry.value(cell):.3f}" if entry.has([cell]) else "" for cell in cells]


def _name(cell: Cell) -> str:
    return f"{pretty(cell[0])}, {short_number(cell[1])}"


def _mean(entry: Entry, cells: Sequence[Cell]) -> str:
    if not entry.has(cells):
        return ""
    mean = entry.mean(cells)
    return f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def _of_these(entry: Entry, cells: Sequence[Cell]) -> str:
    if entry.seeds < 2 or not entry.has(cells):
        return ""
    _, low, high = entry.mean_of_these(cells)
    return "" if low != low else f", these prompts [{low:.3f}, {high:.3f}]"


def draw_differences(panel: Any, rows: Sequence[Mapping[int, Interval]], budgets: Sequence[int]) -> None:
    """A row per method, the first on top, in it a dot with its interval for every budget (search NFE) that it has."""
    for rung, budget in enumerate(budgets):
        offset = 0.22 * (rung - (len(budgets) - 1) / 2)
        color = BUDGETS[rung * (len(BUDGETS) - 1) // max(len(budgets) - 1, 1)]
        there = [(row[budget], place + offset) for place, row in enumerate(rows) if budget in row]
        values, places = [apart.value for apart, _ in there], [place for _, place in there]
        panel.plot(values, places, "o", color=color, ms=4, label=f"{short_number(budget)} NFE")
        for apart, place in there:
            panel.plot([apart.low, apart.high], [place, place], color=color, lw=1.2)
    panel.axvline(0, color=GRAY, lw=0.8)
    panel.locator_params(axis="x", nbins=5)  # longer numbers would touch each other
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
