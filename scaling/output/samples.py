"""Pictures of the winners: the same conditions in the same places at every rung, so that one sees them improve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scaling.engine.loop import Task
from scaling.engine.winners import Finals, Winners
from scaling.journal.stream import write_atomically
from scaling.output.run_folder import grid, png

COLUMNS = 12


def write_samples(
    folder: Path,
    task: Task,
    finals: Finals,
    rungs: Mapping[int, Winners],
    caps: Mapping[int, int],
    first: int,
    count: int,
) -> None:
    """Writes samples/<nfe>/<condition>.png for the first `count` conditions of the study, and a grid of each rung."""
    count = min(count - first, len(task.conditions))
    if count <= 0:
        return
    for index, winners in rungs.items():
        keys = np.stack([np.arange(count), winners.rows[:count]], axis=1)
        images = task.batches.images(finals.latents(keys))
        scale = max(1, 64 // images.shape[-1])
        for place, image in enumerate(images):
            path = folder / "samples" / f"{caps[index]:06d}" / f"{first + place:05d}.png"
            write_atomically(path, png(image, scale))
        if first == 0:
            sheet = grid(list(images), min(COLUMNS, count))
            write_atomically(folder / "samples" / f"rung-{caps[index]:06d}.png", png(sheet, scale))
