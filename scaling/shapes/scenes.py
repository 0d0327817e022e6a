"""Scenes of the shapes world: drawn for a prompt, and rendered at 24x24 pixels with antialiased outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from scaling.shapes.grammar import COLORS, KINDS, MOST, SIZES, Phrase, Prompt

SIDE = 24  # pixels of an image
PIXELS = {"small": 7, "large": 10}  # of a shape
PALETTE = {  # at the corners of the RGB cube: told apart by which channels are bright
    "red": (1.0, 0.1, 0.1),
    "blue": (0.1, 0.1, 1.0),
    "green": (0.1, 1.0, 0.1),
    "yellow": (1.0, 1.0, 0.1),
    "purple": (1.0, 0.1, 1.0),
    "cyan": (0.1, 1.0, 1.0),
}
_FINE = 16  # points along a pixel's side at which a shape's coverage is counted
HOLE = 0.45  # inner radius of a ring, of its outer one
ARM = 0.43  # width of a cross's arms, of its own


def _coverage(kind: str, side: int) -> np.ndarray:
    """The share of each pixel [side,side] that the shape covers: what antialiasing makes of its outline."""
    across = (np.arange(side * _FINE) + 0.5) / (side * _FINE) * 2 - 1
    v, u = np.meshgrid(across, across, indexing="ij")
    inside = {
        "disk": u**2 + v**2 <= 1,
        "square": np.ones_like(u, dtype=bool),
        "ring": (u**2 + v**2 <= 1) & (u**2 + v**2 >= HOLE**2),
        "triangle": np.abs(u) <= (v + 1) / 2 + 1 / side,
        "cross": (np.abs(u) <= ARM) | (np.abs(v) <= ARM),
    }[kind]
    return inside.reshape(side, _FINE, side, _FINE).mean(axis=(1, 3)).astype(np.float32)


COVERAGE = {(kind, size): _coverage(kind, side) for kind in KINDS for size, side in PIXELS.items()}
DISKS = [_coverage("disk", side) > 0.5 for side in PIXELS.values()]  # of no kind, but near to a cross
STENCILS = {names: coverage > 0.5 for names, coverage in COVERAGE.items()}  # what is brighter than half of a shape
GRID = 2  # corners lie at multiples of this many pixels
GAP = 2  # least number of free pixels between two shapes
_TRIES = 256  # placements drawn at a time


@dataclass(frozen=True)
class Thing:
    """One shape and the pixel of its upper left corner."""

    kind: str
    color: str
    size: str
    row: int
    column: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First and last row, first and last column."""
        last = PIXELS[self.size] - 1
        return self.row, self.row + last, self.column, self.column + last


Scene = tuple[Thing, ...]


def compose(prompt: Prompt, generator: np.random.Generator) -> Scene:
    """A random scene of the prompt: what it leaves open is drawn evenly, shapes keep GAP pixels apart."""
    named = [(phrase, group) for group, phrase in enumerate(prompt.phrases) for _ in range(phrase.count)]
    while True:
        looks = [_look(phrase, prompt.shapes, generator) for phrase, _ in named]
        sides = np.array([PIXELS[size] for _, size in looks])
        corners = GRID * generator.integers((SIDE - sides) // GRID + 1, size=(_TRIES, 2, len(named))).swapaxes(1, 2)
        fits = _apart(corners, sides)
        if prompt.relation:
            groups = np.array([group for _, group in named])
            fits &= _related(corners, sides, groups, prompt.relation)
        if fits.any():
            row_columns = corners[int(fits.argmax())]
            return tuple(
                Thing(phrase.kind, color, size, int(row), int(column))
                for (phrase, _), (color, size), (row, column) in zip(named, looks, row_columns, strict=True)
            )


def render(scene: Scene) -> Float[np.ndarray, "3 24 24"]:
    """The scene on black, float32 in [0, 1]."""
    image = np.zeros((3, SIDE, SIDE), np.float32)
    for thing in scene:
        top, bottom, left, right = thing.box
        coverage = COVERAGE[thing.kind, thing.size]
        image[:, top : bottom + 1, left : right + 1] = (
            np.array(PALETTE[thing.color], np.float32)[:, None, None] * coverage
        )
    return image


def related(first: Thing, second: Thing, relation: str) -> bool:
    """Whether the whole of the first shape is left of, right of, above or below the whole of the second."""
    if relation in ("right of", "below"):
        return related(second, first, "left of" if relation == "right of" else "above")
    axis = 0 if relation == "above" else 2
    return first.box[axis + 1] < second.box[axis]


def _look(phrase: Phrase, shapes: int, generator: np.random.Generator) -> tuple[str, str]:
    color = phrase.color or COLORS[generator.integers(len(COLORS))]
    size = SIZES[generator.integers(len(SIZES))]
    return color, phrase.size or ("small" if shapes == MOST else size)


def _apart(corners: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Which placements [tries,shapes,2] leave GAP free pixels between any two boxes."""
    fits = np.ones(len(corners), bool)
    for i in range(len(sides)):
        for j in range(i):
            clear = (corners[:, i] + sides[i] + GAP <= corners[:, j]) | (
                corners[:, j] + sides[j] + GAP <= corners[:, i]
            )
            fits &= clear.any(axis=1)
    return fits


def _related(corners: np.ndarray, sides: np.ndarray, groups: np.ndarray, relation: str) -> np.ndarray:
    """Which placements put all of group 0 in the relation to all of group 1."""
    axis = 1 if relation in ("left of", "right of") else 0
    lower = 0 if relation in ("left of", "above") else 1
    low, high = groups == lower, groups == 1 - lower
    ends = (corners[:, low, axis] + sides[low] - 1).max(axis=1)
    return ends < corners[:, high, axis].min(axis=1)
