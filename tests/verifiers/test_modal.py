"""The highest mode of recorded scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scaling.protocols import RankSelector
from scaling.verifiers.modal import Modal


@pytest.mark.parametrize(("ahead", "winner"), [(0.99, 1), (1.01, 0)])
def test_four_that_agree_outweigh_one_that_is_higher_by_less_than_log_4_over_lambda(ahead: float, winner: int) -> None:
    selector: RankSelector = Modal(lambda_=2.0, width=0.01)
    scores = np.array([ahead * math.log(4) / 2, 0.0, 0.0, 0.0, 0.0])
    assert selector.pick({"a": scores}) == winner
    assert Modal(lambda_=2.0, width=0.01, name="a").pick({"b": -scores, "a": scores}) == winner
    assert Modal(width=1e4).pick({"a": scores}) == 0  # as good as all alike: the best


def test_what_deceives_is_left_where_it_is_rare_and_taken_where_it_is_usual() -> None:
    rng = np.random.default_rng(0)
    right, deceiving = rng.normal(0.0, 0.05, size=18), rng.normal(1.0, 0.05, size=6)
    assert Modal().pick({"a": np.concatenate([right, deceiving[:1]])}) < 18
    assert Modal().pick({"a": np.concatenate([right[:2], deceiving])}) >= 2


def test_it_does_not_depend_on_the_order_or_on_where_0_is() -> None:
    rng = np.random.default_rng(1)
    scores, order = rng.normal(size=40), rng.permutation(40)
    assert order[Modal().pick({"a": scores[order]})] == Modal().pick({"a": scores}) == Modal().pick({"a": scores + 7})


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="width=0"):
        Modal(width=0)
    with pytest.raises(ValueError, match="lambda_=-1"):
        Modal(lambda_=-1)
    with pytest.raises(ValueError, match="wants the scores of b; there are a"):
        Modal(name="b").pick({"a": np.zeros(3)})
    with pytest.raises(ValueError, match="cannot be found"):
        Modal().pick({"a": np.array([0.0, np.nan])})
