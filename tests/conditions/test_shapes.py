"""The stream of prompts."""

from __future__ import annotations

from collections import Counter

import pytest

from scaling.conditions.shapes import ShapesPrompts
from scaling.protocols import Conditions
from scaling.shapes.grammar import CATEGORIES, parse


def test_a_larger_count_only_appends() -> None:
    few: Conditions = ShapesPrompts(count=40)
    many = ShapesPrompts(count=100)
    assert [c.key for c in few] == [c.key for c in many][:40]
    assert few.identity() == many.identity()
    assert len(list(many)) == len(many) == 100


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_deals_a_hundred_different_prompts_of_its_own(category: str) -> None:
    conditions = list(ShapesPrompts(count=100, category=category))
    assert len({c.prompt for c in conditions}) == 100
    for c in conditions:
        assert c.copy == 0
        assert c.metadata is not None
        assert c.metadata["category"] == category == parse(c.prompt or "").category


def test_all_takes_the_categories_in_turn_and_the_same_prompts() -> None:
    conditions = list(ShapesPrompts(count=50))
    assert [c.metadata["category"] for c in conditions if c.metadata] == [CATEGORIES[i % 5] for i in range(50)]
    assert conditions[1::5] == list(ShapesPrompts(count=10, category="shape"))


def test_prompts_come_again_as_copies_only_when_there_are_no_new_ones() -> None:
    conditions = list(ShapesPrompts(count=250, category="count"))
    times = Counter(c.prompt for c in conditions)
    assert len(times) == 112, "all that the grammar has"
    assert set(times.values()) == {2, 3}
    assert len({c.key for c in conditions}) == 250
    assert all(c.copy == 0 for c in conditions[:112])


def test_another_seed_is_another_stream() -> None:
    assert list(ShapesPrompts(count=10, seed=1)) != list(ShapesPrompts(count=10))


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="'relation'"):
        ShapesPrompts(count=1, category="relations")
    with pytest.raises(ValueError, match="count=0"):
        ShapesPrompts(count=0)
    for wrong in ({"count": "abc"}, {"seed": "a"}, {"skip": -1}, {"category": 3}):
        name, value = next(iter(wrong.items()))
        with pytest.raises(ValueError, match=f"conditions.{name}={value!r}"):
            ShapesPrompts(**{"count": 1, **wrong})  # type: ignore[arg-type]
