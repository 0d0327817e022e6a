"""Drawn by the softmax of recorded scores."""

from __future__ import annotations

import numpy as np
import pytest

from scaling.protocols import RankSelector
from scaling.verifiers.soft import Soft

SCORES = np.array([0.3, 0.5, 0.1, 0.5])


def test_temperature_0_is_the_first_of_the_best() -> None:
    selector: RankSelector = Soft(temperature=0.0)
    assert selector.pick({"a": SCORES}) == 1
    assert selector.pick({"b": SCORES[::-1], "a": SCORES}) == 0
    assert Soft(name="a").pick({"b": SCORES[::-1], "a": SCORES}) == 1


def test_it_has_the_law_of_the_softmax() -> None:
    picks = np.bincount([Soft(temperature=0.2, seed=seed).pick({"a": SCORES}) for seed in range(4000)], minlength=4)
    wanted = np.exp(SCORES / 0.2) / np.exp(SCORES / 0.2).sum()
    assert np.all(np.abs(picks / 4000 - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 4000))


def test_winners_change_only_where_a_new_candidate_wins() -> None:
    scores = np.random.default_rng(0).normal(size=200)
    before = 0
    for n in range(1, 201):
        now = Soft(temperature=0.5).pick({"a": scores[:n]})
        assert now in (before, n - 1)
        before = now
    assert before > 0


def test_conditions_have_draws_of_their_own() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 8)) * 1e-6
    assert len({Soft(temperature=1.0).pick({"a": row}) for row in rows}) > 4


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="temperature=-1"):
        Soft(temperature=-1)
    with pytest.raises(ValueError, match="wants the scores of b; there are a"):
        Soft(name="b").pick({"a": SCORES})
