"""The stated preference, at values computed by hand."""

from __future__ import annotations

import pytest

from scaling.shapes.preference import centering, harmony, preference
from scaling.shapes.scenes import Thing


def pair(first: str, second: str) -> tuple[Thing, Thing]:
    return Thing("square", first, "small", 0, 0), Thing("square", second, "small", 0, 8)


@pytest.mark.parametrize(
    ("colors", "value"),
    [
        (("red", "red"), 0.6),
        (("red", "yellow"), 1.0),
        (("purple", "red"), 1.0),
        (("red", "cyan"), 0.7),
        (("red", "blue"), 0),
    ],
)
def test_harmony_is_a_matter_of_hues(colors: tuple[str, str], value: float) -> None:
    assert harmony(pair(*colors)) == value
    assert harmony(pair(*colors[::-1])) == value


def test_harmony_is_the_mean_over_pairs() -> None:
    three = (*pair("red", "yellow"), Thing("ring", "green", "small", 8, 8))
    assert harmony(three) == pytest.approx((1 + 0 + 1) / 3)


def test_centering_falls_with_the_distance_of_all_that_is_lit() -> None:
    assert centering((Thing("square", "red", "small", 8, 8),)) == pytest.approx(1 - (0.5**2 * 2) ** 0.5 / 9)
    assert centering((Thing("square", "red", "small", 0, 8),)) == pytest.approx(1 - (0.5**2 + 8.5**2) ** 0.5 / 9)
    assert centering((Thing("square", "red", "small", 0, 0),)) == 0
    opposite = (Thing("ring", "red", "small", 0, 1), Thing("ring", "red", "small", 17, 16))
    assert centering(opposite) == 1


def test_preference_is_between_none_and_ten() -> None:
    middle = (Thing("ring", "red", "small", 0, 1), Thing("ring", "yellow", "small", 17, 16))
    assert preference(middle) == 10
