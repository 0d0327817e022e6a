"""Pictures of the winners: the same conditions in the same places at every rung, so that one sees them improve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scaling.budget import Cost
from scaling.engine.block_run import BlockRun
from scaling.engine.final_samples import FinalSamples, images
from scaling.engine.winners import Winners
from scaling.journal.stream import write_atomically
from scaling.output.run_folder import png
from scaling.output.sheets import sheet


def write_samples(folder: Path, run: BlockRun, finals: FinalSamples, rungs: Sequence[Winners], count: int) -> Cost:
    """Writes samples/<nfe>/<condition>.png for the first `count` conditions of the study, and a grid of each rung."""
    first, cost = run.encoded.first, Cost()
    count = min(count - first, len(run.conditions))
    if count <= 0:
        return cost
    for winners in rungs:
        answers = images(run, winners.keys[:count], finals.latents_column)
        cost += answers.cost
        scale = max(1, 64 // answers["images"].shape[-1])
        for index, image in enumerate(answers["images"]):
            path = folder / "samples" / f"{winners.rung.nfe:06d}" / f"{first + index:05d}.png"
            write_atomically(path, png(image, scale))
        if first == 0:
            page = sheet(list(answers["images"]), run.conditions[:count], scale)
            write_atomically(folder / "samples" / f"rung-{winners.rung.nfe:06d}.png", page)
    return cost
