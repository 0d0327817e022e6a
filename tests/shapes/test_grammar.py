"""Prompts: words and data say the same, and each category holds what it is named for."""

from __future__ import annotations

import numpy as np
import pytest

from scaling.shapes.grammar import CATEGORIES, COLORS, Phrase, Prompt, draw, parse


@pytest.mark.parametrize("category", CATEGORIES)
def test_words_and_data_say_the_same(category: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        prompt = draw(category, generator)
        assert parse(str(prompt)) == prompt
        assert prompt.category == category


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("a ring", Prompt((Phrase("ring"),))),
        ("three red crosses", Prompt((Phrase("cross", 3, "red"),))),
        ("a small cross and a ring", Prompt((Phrase("cross", 1, None, "small"), Phrase("ring")))),
        ("two blue rings below a cross", Prompt((Phrase("ring", 2, "blue"), Phrase("cross")), "below")),
    ],
)
def test_parse_reads_every_part(text: str, prompt: Prompt) -> None:
    assert parse(text) == prompt


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a red sqare", "'square'"),
        ("two red ring", "'rings'"),
        ("a pink ring", "'ring'"),
        ("one ring", "none of a, two, three"),
        ("a ring and a red ring", "names a kind twice"),
        ("a large red square left of two blue rings", "all are small"),
        ("three rings and a cross", "4 shapes"),
        ("a ring on fire", "too much"),
        ("", "''"),
    ],
)
def test_what_is_not_in_the_grammar_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_an_unknown_category_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="nearest is 'color'"):
        draw("colour", np.random.default_rng(0))


def test_skew_makes_later_words_rarer() -> None:
    def counts(skew: float) -> np.ndarray:
        generator = np.random.default_rng(1)
        colors = [draw("color", generator, skew).phrases[0].color for _ in range(2000)]
        return np.array([colors.count(color) for color in COLORS])

    even, long_tailed = counts(0.0), counts(1.0)
    assert even.min() > 260
    assert long_tailed[0] > 4 * long_tailed[-1]
