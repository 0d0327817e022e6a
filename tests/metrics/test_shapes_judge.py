"""What the judge gives to metrics, by category."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.metrics.per_sample import Value
from scaling.metrics.shapes_judge import ShapesFeatures, ShapesJudge
from scaling.protocols import Condition, Features
from scaling.shapes.grammar import CATEGORIES, draw
from scaling.shapes.preference import preference
from scaling.shapes.scenes import Thing, compose, render


def test_rendered_scenes_are_right_in_their_category_and_nan_in_the_others() -> None:
    generator = np.random.default_rng(0)
    prompts = [draw(category, generator) for category in CATEGORIES]
    images = torch.from_numpy(np.stack([render(compose(prompt, generator)) for prompt in prompts]))
    judge: Features = ShapesJudge()
    out = judge(images, [Condition(prompt=str(prompt)) for prompt in prompts])
    assert out["correct"].tolist() == out["readable"].tolist() == [[1.0]] * 5
    for place, category in enumerate(CATEGORIES):
        assert out[category][:, 0].isfinite().tolist() == [i == place for i in range(5)]
        assert out[category][place] == 1


def test_wrong_and_unreadable_count_as_wrong() -> None:
    thing = Thing("ring", "red", "small", 4, 4)
    images = torch.stack((torch.from_numpy(render((thing,))), torch.ones(3, 24, 24)))
    out = ShapesJudge()(images, [Condition(prompt="a blue ring")] * 2)
    assert out["correct"][:, 0].tolist() == out["color"][:, 0].tolist() == [0, 0]
    assert out["readable"][:, 0].tolist() == [1, 0]
    assert out["preference"][0, 0] == pytest.approx(preference((thing,)))
    assert out["preference"][1, 0].isnan()


def test_the_judge_needs_a_prompt_of_the_grammar() -> None:
    with pytest.raises(ValueError, match="'square'"):
        ShapesJudge()(torch.zeros(1, 3, 24, 24), [Condition(prompt="a sqare")])


def test_features_are_unit_vectors() -> None:
    features = ShapesFeatures(device="cpu")(torch.rand(4, 3, 24, 24), [])["features"]
    assert features.shape == (4, 48)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(4))


def test_value_passes_a_column_through() -> None:
    values = torch.tensor([[1.0], [float("nan")], [0.0]])
    out = Value("judge.color")(values, torch.zeros(3, dtype=torch.long))
    assert out.tolist()[::2] == [1, 0]
    assert out[1].isnan()
    with pytest.raises(ValueError, match=r"judge\.color"):
        Value("judge.color")(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long))
