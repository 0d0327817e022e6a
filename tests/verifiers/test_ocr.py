"""What an OCR reads of rendered text, and how near it is to what the prompt quotes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from scaling.protocols import Condition
from scaling.verifiers.ocr import OCR, edit_distance, likeness, quoted


def rendered(text: str) -> torch.Tensor:
    """Black text on white, [3, 96, 512] in [0, 1]."""
    picture = Image.new("RGB", (512, 96), "white")
    ImageDraw.Draw(picture).text((20, 16), text, fill="black", font=ImageFont.load_default(48))
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255


def test_rendered_text_is_read_and_a_misspelling_costs_its_letters() -> None:
    images = torch.stack([rendered("Open House"), rendered("Opem House"), torch.ones(3, 96, 512)])
    prompts = [Condition(prompt='a sign that says "OPEN HOUSE"')] * 3
    scores = OCR()(images, prompts)
    torch.testing.assert_close(scores, torch.tensor([1.0, 1 - 1 / 9, 0.0]))


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ('a sign "one" and a cup "two"', "one two"),
        ("a sign that says 'hello there'", "hello there"),
        ("a shop called “Café”", "Café"),
        ("the dog's bone reads «gut»", "gut"),
    ],
)
def test_what_a_prompt_quotes(prompt: str, text: str) -> None:
    assert quoted(prompt) == text


def test_a_prompt_that_quotes_nothing_is_named() -> None:
    with pytest.raises(ValueError, match="the dog's bone' quotes no text|the dog's bone\" quotes no text"):
        quoted("the dog's bone")


def test_edit_distance_by_known_values() -> None:
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == edit_distance("abc", "") == 3
    assert edit_distance("same", "same") == 0
    assert likeness("", "") == 1.0
