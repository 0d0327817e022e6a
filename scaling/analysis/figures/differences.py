"""Differences to random search: a dot and an interval per method and budget, and the same as a table's cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scaling.analysis.figures.curve_plot import short_number
from scaling.analysis.figures.style import BLUE, GRAY, RED, SKY
from scaling.statistics import Interval

BUDGETS = (SKY, BLUE, RED)


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
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def signed(apart: Interval) -> str:
    """A difference with its sign and interval, bold where that leaves 0 out; empty where there is none (NaN)."""
    if apart.value != apart.value:
        return ""
    text = f"{apart.value:+.3f} [{apart.low:.3f}, {apart.high:.3f}]"
    return f"**{text}**" if apart.excludes_zero else text
