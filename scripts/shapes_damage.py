"""Scenes spoiled as generated ones are: pieces missing, added, moved, faded or bent; the judge says what is left."""

from __future__ import annotations

import numpy as np

from scaling.shapes.grammar import COLORS
from scaling.shapes.scenes import COVERAGE, PALETTE, SIDE, Scene

_SHAPES = tuple(COVERAGE.values())


def damaged(image: np.ndarray, scene: Scene, generator: np.random.Generator) -> np.ndarray:
    """One or two kinds of damage at a random strength, on a copy."""
    image = image.copy()
    for kind in generator.choice(len(_KINDS), 1 + int(generator.random() < 0.3), replace=False):
        image = _KINDS[kind](image, scene, generator)
    return np.clip(image, 0, 1)


def _patch(scene: Scene, generator: np.random.Generator, longest: int) -> tuple[slice, slice, slice]:
    """A small rectangle in or near a random shape."""
    thing = scene[generator.integers(len(scene))]
    height, width = generator.integers(1, longest + 1, size=2)
    top = int(generator.integers(thing.box[0] - 1, thing.box[1] + 1))
    left = int(generator.integers(thing.box[2] - 1, thing.box[3] + 1))
    top, left = max(top, 0), max(left, 0)
    return slice(None), slice(top, top + height), slice(left, left + width)


def _erased(image: np.ndarray, scene: Scene, generator: np.random.Generator) -> np.ndarray:
    image[_patch(scene, generator, 4)] *= generator.random() * 0.6
    return image


def _painted(image: np.ndarray, scene: Scene, generator: np.random.Generator) -> np.ndarray:
    color = np.array(PALETTE[COLORS[generator.integers(len(COLORS))]])
    if generator.random() < 0.7:
        color = np.array(PALETTE[scene[generator.integers(len(scene))].color])
    where = _patch(scene, generator, 4)
    image[where] = np.maximum(image[where], color[:, None, None] * generator.uniform(0.4, 1))
    return image


def _added(image: np.ndarray, scene: Scene, generator: np.random.Generator) -> np.ndarray:
    """A whole shape, or a part of one, anywhere, bright or faint."""
    coverage = _SHAPES[generator.integers(len(_SHAPES))]
    side = len(coverage)
    top, left = generator.integers(SIDE - side + 1, size=2)
    if generator.random() < 0.5:
        coverage = coverage[: generator.integers(2, side + 1), : generator.integers(2, side + 1)]
    color = np.array(PALETTE[COLORS[generator.integers(len(COLORS))]])[:, None, None] * generator.uniform(0.3, 1)
    part = image[:, top : top + coverage.shape[0], left : left + coverage.shape[1]]
    part[:] = np.maximum(part, color * coverage)
    return image


def _faded(image: np.ndarray, scene: Scene, generator: np.random.Generator) -> np.ndarray:
    """One shape loses brightness, or turns in part to another color."""
    thing = scene[generator.integers(len(scene))]
    top, bottom, left, right = thing.box
    part = image[:, top : bottom + 1, left : right + 1]
    if generator.random() < 0.5:
        part *= generator.uniform(0, 0.8)
    else:
        cut = generator.integers(1, part.shape[1])
        color = np.array(PALETTE[COLORS[generator.integers(len(COLORS))]])[:, None, None]
        part[:, cut:] = part[:, cut:].max(axis=0) * color
    return image


def _bent(image: np.ndarray, scene: Scene, generator: np.random.Generator) -> np.ndarray:
    """A smooth random displacement of a pixel or so."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    scale = generator.uniform(1.0, 2.5)
    field = np.stack([gaussian_filter(generator.standard_normal((SIDE, SIDE)), 2.5) for _ in range(2)])
    field *= scale / max(float(np.abs(field).max()), 1e-6)
    at = np.indices((SIDE, SIDE)) + field
    return np.stack([map_coordinates(channel, at, order=1, mode="nearest") for channel in image])


def _cut(image: np.ndarray, scene: Scene, generator: np.random.Generator) -> np.ndarray:
    """A part of the image moves by a pixel or two."""
    axis, cut, by = 1 + int(generator.integers(2)), int(generator.integers(3, SIDE - 3)), int(generator.integers(1, 3))
    moved = np.roll(image, by, axis=3 - axis)
    first = [slice(None)] * 3
    first[axis] = slice(0, cut)
    image[tuple(first)] = moved[tuple(first)]
    return image


_KINDS = (_erased, _painted, _added, _faded, _bent, _cut)
