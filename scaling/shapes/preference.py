"""What pleases in a scene of shapes, by a stated rule: colors that go together, and the whole in the middle."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from scaling.shapes.scenes import SIDE, STENCILS, Scene

HUES = {"red": 0, "yellow": 60, "green": 120, "cyan": 180, "blue": 240, "purple": 300}  # degrees on the color wheel
HARMONY = {0: 0.6, 60: 1.0, 120: 0.0, 180: 0.7}  # same, neighboring, clashing and opposite hues
REACH = 9.0  # pixels off the middle at which nothing is left of the centering


def harmony(scene: Scene) -> float:
    """Mean over all pairs of shapes, in [0, 1]; a shape alone is in harmony with itself."""
    pairs = [_apart(HUES[a.color], HUES[b.color]) for a, b in combinations(scene, 2)]
    return float(np.mean([HARMONY[apart] for apart in pairs])) if pairs else HARMONY[0]


def centering(scene: Scene) -> float:
    """1 where the centroid of all lit pixels is the image's middle, falling to 0 at REACH pixels from it."""
    points = [np.argwhere(STENCILS[thing.kind, thing.size]) + np.array((thing.row, thing.column)) for thing in scene]
    off = np.concatenate(points).mean(axis=0) - (SIDE - 1) / 2
    return max(0.0, 1 - float(np.hypot(*off)) / REACH)


def preference(scene: Scene) -> float:
    """0 to 10: five points each for harmony and centering."""
    return 5 * harmony(scene) + 5 * centering(scene)


def _apart(first: int, second: int) -> int:
    around = abs(first - second) % 360
    return min(around, 360 - around)
