"""The judge that reads, and the exact one as a verifier."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.protocols import Condition, Verifier
from scaling.shapes.grammar import Phrase, Prompt, draw, parse
from scaling.shapes.scenes import compose, render
from scaling.verifiers.shapes_oracle import ShapesOracle
from scaling.verifiers.shapes_reader import ShapesReader


@pytest.fixture(scope="module")
def reader() -> ShapesReader:
    return ShapesReader(device="cpu")


def scenes(prompts: list[Prompt]) -> torch.Tensor:
    generator = np.random.default_rng(0)
    return torch.from_numpy(np.stack([render(compose(prompt, generator)) for prompt in prompts]))


def conditions(prompts: list[Prompt]) -> list[Condition]:
    return [Condition(prompt=str(prompt)) for prompt in prompts]


def test_it_tells_a_relation_from_its_opposite(reader: Verifier) -> None:
    generator = np.random.default_rng(1)
    prompts = [Prompt(draw("relation", generator).phrases, "left of") for _ in range(200)]
    reversed_ = [Prompt(prompt.phrases, "right of") for prompt in prompts]
    images = scenes(prompts)
    assert (reader(images, conditions(prompts)) > reader(images, conditions(reversed_))).double().mean() >= 0.9


def test_a_broken_shape_scores_below_a_whole_one(reader: Verifier) -> None:
    prompts = [Prompt((Phrase("ring", 1, "red", "large"),))] * 50
    whole = scenes(prompts)
    broken = whole.clone()
    for image in broken:
        rows, _ = torch.nonzero(image[0] > 0.5, as_tuple=True)
        image[:, rows.min() : rows.min() + 4] = 0
    assert (reader(whole, conditions(prompts)) > reader(broken, conditions(prompts))).double().mean() >= 0.9


def test_a_score_is_a_log_probability_with_a_gradient(reader: ShapesReader) -> None:
    image = scenes([parse("a red ring")]).requires_grad_()
    score = reader(image, [Condition(prompt="a red ring")])
    assert score.shape == (1,) and score <= 0
    score.sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_each_rung_of_the_ladder_is_another_judge(reader: ShapesReader) -> None:
    names = ("shapes_reader_1", "shapes_reader_2")
    digests = {ShapesReader(path=name, device="cpu").identity()["weights"] for name in names}
    assert len(digests | {reader.identity()["weights"]}) == 3


def test_errors_name_the_file_and_the_word(reader: Verifier) -> None:
    with pytest.raises(ValueError, match="holds a PixArtTransformer2DModel"):
        ShapesReader(path="shapes")
    with pytest.raises(ValueError, match="'square'"):
        reader(torch.zeros(1, 3, 24, 24), [Condition(prompt="a sqare")])


def test_the_oracle_is_the_exact_judge() -> None:
    prompts = [parse("a red ring"), parse("two blue crosses")]
    oracle: Verifier = ShapesOracle()
    assert oracle(scenes(prompts), conditions(prompts)).tolist() == [1, 1]
    assert oracle(scenes(prompts), conditions(prompts[::-1])).tolist() == [0, 0]
    assert oracle.identity()["overlap"] == 0.8
