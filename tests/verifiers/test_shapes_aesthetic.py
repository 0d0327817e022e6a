"""The aesthetic head: it follows the stated preference and is blind to the prompt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.loading.weights_file import load_weights, save_weights
from scaling.protocols import Condition, Verifier
from scaling.shapes.grammar import CATEGORIES, draw
from scaling.shapes.preference import preference
from scaling.shapes.scenes import Thing, compose, render
from scaling.verifiers.shapes_aesthetic import ShapesAesthetic


@pytest.fixture(scope="module")
def verifier() -> ShapesAesthetic:
    return ShapesAesthetic(device="cpu")


def test_it_predicts_the_preference(verifier: Verifier) -> None:
    generator = np.random.default_rng(11)
    scenes = [compose(draw(CATEGORIES[i % 5], generator), generator) for i in range(300)]
    images = torch.from_numpy(np.stack([render(scene) for scene in scenes]))
    scores = verifier(images, [Condition(prompt="a ring")] * 300)
    assert np.corrcoef(scores.numpy(), [preference(scene) for scene in scenes])[0, 1] > 0.7


def test_it_never_reads_the_prompt_and_has_a_gradient(verifier: Verifier) -> None:
    image = torch.from_numpy(render((Thing("ring", "red", "small", 4, 4),)))[None].requires_grad_()
    score = verifier(image, [Condition(prompt="a ring")])
    assert torch.equal(score, verifier(image, [Condition(class_label=3)]))
    score.sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_a_head_of_another_clip_is_refused(tmp_path: Path) -> None:
    weights = load_weights("shapes_aesthetic")
    path = tmp_path / "other.safetensors"
    save_weights(path, weights.state, weights.metadata | {"clip": "0" * 64})
    with pytest.raises(ValueError, match=r"other\.safetensors belongs to the CLIP 0000"):
        ShapesAesthetic(path=str(path), device="cpu")
    with pytest.raises(ValueError, match="holds a PixArtTransformer2DModel"):
        ShapesAesthetic(path="shapes", device="cpu")
