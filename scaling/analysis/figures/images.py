"""Figures of images: the same conditions in the same rows, a column per budget."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from scaling.analysis.figures.specs import Figure
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.names import Names, order

SHOWN = 6  # conditions a run


def draw(figure: Figure, runs: Sequence[Run]) -> Any:
    """One block of rows per run that has images; the winners improve from left to right."""
    from matplotlib.figure import Figure as Picture

    pictured = [run for run in runs if run.images]
    if not pictured:
        raise ValueError("none of the runs kept images under samples/; run with samples=36 or so")
    names = Names(tuple(pictured))
    columns = max(len(run.images) for run in pictured)
    picture = Picture(figsize=(1.1 * columns + 1.4, (SHOWN * 0.95 + 0.7) * len(pictured) + 0.5), layout="constrained")
    picture.suptitle(figure.title, fontsize=11)
    blocks = picture.subfigures(len(pictured), 1, squeeze=False)[:, 0]
    pictured.sort(key=lambda run: order(names.key(run)))
    for block, run in zip(blocks, pictured, strict=True):
        block.suptitle(names.labels[names.key(run)], fontsize=10)
        _draw_run(block, run, columns)
    return picture


def _draw_run(block: Any, run: Run, columns: int) -> None:
    from PIL import Image

    rows = min(SHOWN, min(len(paths) for paths in run.images.values()))
    axes = block.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for column, (nfe, paths) in enumerate(run.images.items()):
        for row, path in enumerate(paths[:rows]):
            axes[row][column].imshow(Image.open(path), interpolation="nearest")
        axes[0][column].set_title(f"{nfe:,} NFE", fontsize=8)
    for row, name in enumerate(_conditions(run, rows)):
        axes[row][0].text(-0.06, 0.5, name, fontsize=7, ha="right", va="center", transform=axes[row][0].transAxes)


def _conditions(run: Run, rows: int) -> list[str]:
    """What the first conditions are, as words."""
    if not run.has_winners:
        return [""] * rows
    first = run.winners.slice(0, rows).to_pylist()
    return [fill(each["prompt"], 18) if each["prompt"] else f"class {each['class_label']}" for each in first]
