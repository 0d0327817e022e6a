"""Over-optimization against the strength of the judge: accuracy of best of n under each, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scaling.analysis.figures.curve_plot import finish, new_figure
from scaling.analysis.figures.specs import Figure
from scaling.analysis.figures.style import GRAY, SPARE, grid, pretty, signed
from scaling.analysis.questions.judges import Judge, divergence, judges
from scaling.analysis.runs.folder import Run


def draw(figure: Figure, runs: Sequence[Run]) -> Any:
    """Accuracy against KL with Gao's law (dashed: a prediction), of the mode (stars), and the best n by strength."""
    counts, found = judges(runs[0])
    picture, (curves, peaks) = new_figure([2])
    picture.set_size_inches(9.6, 4.2)
    distance = np.array([divergence(n) for n in counts])
    fine = np.linspace(0, distance[-1], 200)
    border = divergence(found[0].law.fitted)
    for judge, style in zip(found, SPARE, strict=False):
        values = np.array([(point.value, point.low, point.high) for point in judge.curve])
        label = f"{pretty(judge.name)} ({judge.strength.value:.2f})"
        curves.plot(distance, values[:, 0], "o", color=style.color, ms=4, label=label)
        curves.fill_between(distance, values[:, 1], values[:, 2], color=style.color, alpha=0.12, lw=0)
        law = values[0, 0] + judge.law.gain(np.sqrt(fine))
        curves.plot(fine[fine <= border], law[fine <= border], color=style.color, lw=1.2)
        curves.plot(fine[fine > border], law[fine > border], color=style.color, lw=1.2, ls="--")
        curves.plot(distance[-1], judge.mode.value, "*", color=style.color, ms=10, mec="black", mew=0.5)
        peaks.plot(judge.strength.value, counts[judge.peak], "o", color=style.color)
        peaks.plot([judge.strength.low, judge.strength.high], [counts[judge.peak]] * 2, color=style.color, lw=1.2)
    curves.plot([], [], "*", color=GRAY, ms=10, mec="black", mew=0.5, label=f"the mode of {counts[-1]}")
    curves.set_xlabel("KL of best of n: log n - (n - 1) / n")
    curves.set_ylabel("accuracy by the exact judge")
    above = curves.secondary_xaxis("top")
    above.set_xticks(distance, [str(n) for n in counts])
    above.set_xlabel("n")
    peaks.axvline(0.5, color=GRAY, lw=0.8)
    peaks.set_yscale("log", base=2)
    peaks.set_yticks(counts, [str(n) for n in counts])
    peaks.set_xlabel("strength: a right image above a wrong one of its prompt")
    peaks.set_ylabel("n at which accuracy is highest")
    for panel in (curves, peaks):
        panel.grid(alpha=0.25)
        panel.spines[["right"]].set_visible(False)
    finish(picture, [curves, peaks], figure.title)
    return picture


def markdown(runs: Sequence[Run]) -> str:
    """A row per judge: strength, accuracy at each n, of the mode of all scores and how far it is ahead, and the law."""
    counts, found = judges(runs[0])
    head = [
        "judge",
        "strength",
        *(f"n = {n}" for n in counts),
        f"mode of {counts[-1]}",
        "above the best",
        "best n",
        "alpha",
        "beta",
        f"error beyond {found[0].law.fitted}",
    ]
    return grid(head, [_row(judge, counts) for judge in found]) + "\n"


def _row(judge: Judge, counts: Sequence[int]) -> list[str]:
    best = judge.curve[judge.peak].value
    cells = [f"**{p.value:.3f}**" if p.value == best else f"{p.value:.3f}" for p in judge.curve]
    strong = f"{judge.strength.value:.3f} [{judge.strength.low:.3f}, {judge.strength.high:.3f}]"
    error = "" if judge.law.error is None else f"{judge.law.error:.3f}"
    cells += [f"{judge.mode.value:.3f}", signed(judge.ahead)]
    law = [f"{judge.law.alpha:.3f}", f"{judge.law.beta:.3f}", error]
    return [judge.name, strong, *cells, str(counts[judge.peak]), *law]
