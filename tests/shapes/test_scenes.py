"""Scenes: what is drawn for a prompt is what the prompt says, pixel by pixel."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from scaling.shapes.grammar import CATEGORIES, KINDS, RELATIONS, SIZES, Phrase, Prompt, draw
from scaling.shapes.scenes import COVERAGE, GAP, PALETTE, PIXELS, SIDE, STENCILS, Thing, compose, related, render


def test_shapes_are_told_apart_at_every_place() -> None:
    for size in SIZES:
        for first, second in combinations(KINDS, 2):
            a, b = STENCILS[first, size], STENCILS[second, size]
            assert a.shape == b.shape == (PIXELS[size], PIXELS[size])
            assert (a & b).sum() / (a | b).sum() < 0.7, "the judge asks for 0.8"


@pytest.mark.parametrize("category", CATEGORIES)
def test_scenes_keep_apart_and_inside(category: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        prompt = draw(category, generator)
        scene = compose(prompt, generator)
        assert len(scene) == prompt.shapes
        seen = np.zeros((SIDE + GAP, SIDE + GAP), int)
        for thing in scene:
            top, bottom, left, right = thing.box
            assert min(top, left) >= 0
            assert max(bottom, right) < SIDE
            near = seen[max(top - GAP, 0) : bottom + 1 + GAP, max(left - GAP, 0) : right + 1 + GAP]
            assert not near.any(), "two shapes are too close"
            seen[top : bottom + 1, left : right + 1] = 1


def test_what_a_prompt_leaves_open_is_drawn() -> None:
    generator = np.random.default_rng(0)
    looks = {(t.color, t.size) for _ in range(300) for t in compose(Prompt((Phrase("ring"),)), generator)}
    assert len(looks) == len(PALETTE) * len(SIZES)
    assert {compose(Prompt((Phrase("ring", 1, "red", "large"),)), generator)[0].color for _ in range(20)} == {"red"}


def test_render_paints_the_shape_with_soft_edges_and_nothing_else() -> None:
    image = render((Thing("ring", "cyan", "large", 4, 8),))
    assert image.shape == (3, SIDE, SIDE)
    peak, coverage = image.max(axis=0), COVERAGE["ring", "large"]
    assert peak.sum() == pytest.approx(coverage.sum())
    np.testing.assert_array_equal(peak[4:14, 8:18], coverage)
    np.testing.assert_array_equal(peak[4:14, 8:18] > 0.5, STENCILS["ring", "large"])
    assert ((coverage > 0) & (coverage < 1)).any()
    full = image[:, peak == 1].T
    np.testing.assert_array_equal(full, np.full(full.shape, PALETTE["cyan"], np.float32))


def test_relations_are_of_whole_shapes_and_opposite() -> None:
    upper, lower = Thing("ring", "red", "small", 0, 4), Thing("cross", "red", "small", 8, 5)
    assert [relation for relation in RELATIONS if related(upper, lower, relation)] == ["above"]
    assert [relation for relation in RELATIONS if related(lower, upper, relation)] == ["below"]
    beside = Thing("cross", "red", "small", 4, 11)
    assert [relation for relation in RELATIONS if related(upper, beside, relation)] == ["left of"], "rows overlap"
