"""Pictures of the winners: the same conditions in the same places at every rung, alone and side by side on sheets."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from textwrap import wrap

import numpy as np
import torch

from scaling.budget import Cost
from scaling.engine.block_run import BlockRun
from scaling.engine.final_samples import FinalSamples, images
from scaling.engine.winners import Winners
from scaling.journal.stream import write_atomically
from scaling.pixels import pil, png
from scaling.protocols import Condition

COLUMNS = 12
SIZE, LINE, MOST = 10, 12, 3  # pixels of a letter and of a line, lines of a caption
LETTER = 5.4  # pixels that a letter takes on average


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
            write_atomically(path, png(torch.from_numpy(image), scale))
        if first == 0:
            page = sheet(list(answers["images"]), run.conditions[:count], scale)
            write_atomically(folder / "samples" / f"rung-{winners.rung.nfe:06d}.png", page)
    return cost


def sheet(images: Sequence[np.ndarray], conditions: Sequence[Condition], scale: int = 1) -> bytes:
    """Images [3, h, w] in [0, 1] of one size as a PNG, enlarged by whole pixels, each over its caption."""
    from PIL import Image, ImageDraw, ImageFont

    _, h, w = images[0].shape
    columns = min(COLUMNS, len(images))
    captions = [caption(each, int(w * scale / LETTER)) for each in conditions]
    width, height = w * scale + 4, h * scale + LINE * max(map(len, captions)) + 6
    page = Image.new("RGB", (width * columns, height * -(-len(images) // columns)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(SIZE)
    for place, (image, lines) in enumerate(zip(images, captions, strict=True)):
        y, x = divmod(place, columns)
        page.paste(pil(torch.from_numpy(image), scale), (x * width + 2, y * height + 2))
        draw.multiline_text(
            (x * width + 2, y * height + h * scale + 3), "\n".join(lines), fill="black", font=font, spacing=LINE - SIZE
        )
    out = BytesIO()
    page.save(out, "PNG")
    return out.getvalue()


def caption(condition: Condition, letters: int) -> list[str]:
    """What a condition asks for, in a few lines of so many letters; what does not fit is cut."""
    if condition.prompt is None:
        return [f"class {condition.class_label}"]
    lines = wrap(condition.prompt, max(letters, 4))
    if len(lines) <= MOST:
        return lines
    return [*lines[: MOST - 1], lines[MOST - 1][: max(letters, 4) - 1] + "…"]
