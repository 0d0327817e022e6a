"""The exact judge: reads shapes, colors, sizes and places back from the pixels, and holds a prompt against them.

A pixel is bright where its largest channel is above 0.5, and its color says which channels have more than half of
that. Bright pixels of one color that touch, also at a corner, are a spot; spots of one or two pixels are dust. Every
other spot must agree with the stencil of a shape, more than with a disk, and enclose dark pixels if and only if it is a
ring. An image with any other spot, or with none, is unreadable, which is wrong whatever was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from scaling.shapes.grammar import Prompt
from scaling.shapes.scenes import DISKS, PALETTE, PIXELS, SIDE, STENCILS, Scene, Thing, related

BRIGHT = 0.5  # of a pixel's largest channel
DUST = 2  # pixels of a spot, or of a hole in one, that are overlooked
OVERLAP = 0.8  # least intersection over union of a spot and its stencil
THRESHOLDS = {"side": SIDE, "bright": BRIGHT, "dust": DUST, "overlap": OVERLAP}  # all that decides its answers
_CORNERS = {sum((channel > 0.5) << i for i, channel in enumerate(rgb)): name for name, rgb in PALETTE.items()}
_TOUCHING = np.ones((3, 3), int)


def read(image: Float[np.ndarray, "3 h w"]) -> Scene | None:
    """The scene that the pixels show, top to bottom; None where they cannot be read."""
    from scipy.ndimage import find_objects, label

    peak = image.max(axis=0)
    corner = ((image > 0.5 * peak) << np.arange(3)[:, None, None]).sum(axis=0) * (peak > BRIGHT)
    things = []
    for code in np.unique(corner[corner > 0]).tolist():
        spots, _ = label(corner == code, _TOUCHING)
        for number, box in enumerate(find_objects(spots), start=1):
            spot = spots[box] == number
            if spot.sum() <= DUST:
                continue
            thing = _thing(spot, _CORNERS.get(code), box[0].start, box[1].start)
            if thing is None:
                return None
            things.append(thing)
    return tuple(sorted(things, key=lambda thing: (thing.row, thing.column))) or None


def satisfies(scene: Scene | None, prompt: Prompt) -> bool:
    """Whether the scene is all that the prompt says, and nothing more."""
    if scene is None or len(scene) != prompt.shapes:
        return False
    groups = [[thing for thing in scene if thing.kind == phrase.kind] for phrase in prompt.phrases]
    for phrase, group in zip(prompt.phrases, groups, strict=True):
        if len(group) != phrase.count:
            return False
        if any(phrase.color not in (None, thing.color) or phrase.size not in (None, thing.size) for thing in group):
            return False
    return prompt.relation is None or all(related(a, b, prompt.relation) for a in groups[0] for b in groups[1])


def judge(images: Float[np.ndarray, "n 3 h w"], prompts: Sequence[Prompt]) -> Float[np.ndarray, " n"]:
    """1 where an image is right in everything, else 0."""
    pairs = zip(images, prompts, strict=True)
    return np.array([satisfies(read(image), prompt) for image, prompt in pairs], dtype=np.float64)


def _thing(spot: np.ndarray, color: str | None, row: int, column: int) -> Thing | None:
    """The shape that a spot [h,w] is, if any; its box begins at row and column. White has no name."""
    from scipy.ndimage import binary_fill_holes

    overlap, kind, size = max((_overlap(spot, stencil), *names) for names, stencil in STENCILS.items())
    nameless = max(OVERLAP, *(_overlap(spot, disk) for disk in DISKS))
    enclosed = binary_fill_holes(spot).sum() - spot.sum()  # a way out leads over sides, not over corners
    if color is None or overlap < nameless or (kind == "ring") != (enclosed > DUST):
        return None
    rest = [(length - PIXELS[size]) // 2 for length in spot.shape]  # a spot a pixel too large still has its place
    return Thing(kind, color, size, row + rest[0], column + rest[1])


def _overlap(spot: np.ndarray, stencil: np.ndarray) -> float:
    """Intersection over union where one box lies best within the other; 0 where a side differs by more than a pixel."""
    if spot.shape == stencil.shape:
        return float((spot & stencil).sum() / (spot | stencil).sum())
    if max(abs(a - b) for a, b in zip(spot.shape, stencil.shape, strict=True)) > 1:
        return 0.0
    size = np.maximum(spot.shape, stencil.shape)
    pairs = ((first, second) for first in _placed(spot, size) for second in _placed(stencil, size))
    return max(float((first & second).sum() / (first | second).sum()) for first, second in pairs)


def _placed(mask: np.ndarray, size: np.ndarray) -> list[np.ndarray]:
    """The mask at every place in a box of the size."""
    rest = size - mask.shape
    return [np.pad(mask, ((i, rest[0] - i), (j, rest[1] - j))) for i in range(rest[0] + 1) for j in range(rest[1] + 1)]
