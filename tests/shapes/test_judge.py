"""The judge reads every scene back, also through a little blur and noise, and is not to be fooled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from scaling.shapes.grammar import CATEGORIES, Prompt, draw, parse
from scaling.shapes.judge import judge, read, satisfies
from scaling.shapes.scenes import Scene, Thing, compose, render


def scenes(count: int, seed: int = 0) -> tuple[list[Scene], list[Prompt]]:
    generator = np.random.default_rng(seed)
    prompts = [draw(CATEGORIES[i % len(CATEGORIES)], generator) for i in range(count)]
    return [compose(prompt, generator) for prompt in prompts], prompts


def in_order(scene: Scene) -> Scene:
    return tuple(sorted(scene, key=lambda thing: (thing.row, thing.column)))


def test_two_thousand_scenes_are_read_exactly() -> None:
    drawn, prompts = scenes(2000)
    images = np.stack([render(scene) for scene in drawn])
    assert [read(image) for image in images] == [in_order(scene) for scene in drawn]
    assert judge(images, prompts).mean() == 1


@pytest.mark.parametrize(("blur", "noise", "least"), [(0.4, 0.0, 1.0), (0.6, 0.0, 0.99), (0.0, 0.1, 0.98)])
def test_a_little_blur_and_noise_are_read_through(blur: float, noise: float, least: float) -> None:
    drawn, prompts = scenes(300, seed=1)
    generator = np.random.default_rng(2)
    images = np.stack([gaussian_filter(render(scene), (0, blur, blur)) for scene in drawn])
    images = np.clip(images + noise * generator.standard_normal(images.shape), 0, 1)
    assert judge(images, prompts).mean() >= least


RING, CROSS = Thing("ring", "red", "small", 0, 0), Thing("cross", "blue", "small", 12, 12)


@pytest.mark.parametrize(
    ("prompt", "right"),
    [
        ("a red ring and a blue cross", True),
        ("a blue cross and a red ring", True),
        ("a ring and a small cross", True),
        ("a ring left of a cross", True),
        ("a ring above a cross", True),
        ("a cross above a ring", False),
        ("a ring right of a cross", False),
        ("a blue ring and a red cross", False),
        ("a ring and a large cross", False),
        ("a red ring", False),
        ("two rings", False),
        ("two red rings and a blue cross", False),
        ("a red ring and a blue cross and a green square", False),
    ],
)
def test_a_prompt_is_held_against_all_of_the_scene(prompt: str, right: bool) -> None:
    assert satisfies((RING, CROSS), parse(prompt)) is right


def test_what_cannot_be_read_is_wrong() -> None:
    prompt = parse("a red ring")
    empty, white = np.zeros((3, 24, 24), np.float32), np.ones((3, 24, 24), np.float32)
    blob = np.zeros((3, 24, 24), np.float32)
    blob[0, 3:6, 3:16] = 1
    half = render((RING,))
    half[:, 4:] = 0
    gap = render((RING,))
    gap[:, 3, 5:7] = 0
    filled = render((RING,))
    filled[:, 2:5, 2:5] = render((RING,)).max(axis=(1, 2))[:, None, None]
    nameless = render((RING,)).max(axis=0, keepdims=True).repeat(3, axis=0)
    for image in (empty, white, blob, half, gap, filled, nameless):
        assert read(image) is None
        assert not satisfies(read(image), prompt)


def test_dust_is_overlooked_and_a_spot_is_not() -> None:
    image = render((RING,))
    image[:, 18, 18] = 1
    assert read(image) == (RING,)
    image[:, 18, 18:21] = 1
    assert read(image) is None


def test_shapes_of_two_colors_may_touch() -> None:
    beside = replace(CROSS, row=0, column=7)
    assert read(render((RING, beside))) == (RING, beside)


def test_a_missing_or_an_extra_pixel_is_forgiven() -> None:
    image = render((CROSS,))
    image[:, 12, 15] = 0
    assert read(image) == (CROSS,)
    image = render((CROSS,))
    image[2, 11, 15] = 1
    scene = read(image)
    assert scene is not None
    assert (scene[0].kind, scene[0].size) == ("cross", "small")
