from itertools import combinations

import numpy as np
import pytest
from folders import fid
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.analysis.questions.best_of_n import (
    best_of_n,
    best_sets,
    powers_of_two,
    rank_ensemble,
    set_metric,
    subset_weights,
)
from scaling.statistics import mean_interval

SMALL = st.integers(1, 7)
BEST_OF_8 = 1.42360  # the expected largest of 8 standard normals


def brute_force(scores, values, n):
    """The mean, over all n-subsets, of the value of the best-scored; ties share."""
    picked = []
    for subset in combinations(range(len(scores)), n):
        inside = np.array([scores[place] for place in subset])
        picked.append(np.mean(np.array([values[place] for place in subset])[inside == inside.max()]))
    return np.mean(picked)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 9)), min_size=1, max_size=8))
def test_equals_all_subsets_with_ties(pool):
    scores, values = (np.array([row], dtype=float) for row in zip(*pool, strict=True))
    for n in range(1, len(pool) + 1):
        assert best_of_n(scores, values, n)[0] == pytest.approx(brute_force(scores[0], values[0], n), abs=1e-12)


def test_one_is_the_mean_and_all_is_the_best():
    rng = np.random.default_rng(0)
    scores, values = rng.standard_normal((2, 30, 16))
    assert best_of_n(scores, values, 1) == pytest.approx(values.mean(axis=1))
    assert best_of_n(scores, values, 16) == pytest.approx(values[np.arange(30), scores.argmax(axis=1)])


@pytest.mark.parametrize("pool", [1, 7, 1000, 100_000])
def test_weights_are_stable_for_any_pool(pool):
    for n in {1, max(1, pool // 3), pool}:
        weights = subset_weights(pool, n)
        assert np.isfinite(weights).all()
        assert weights.sum() == pytest.approx(1)
        assert (np.diff(weights) >= -1e-15).all()


def test_large_pools_agree_with_exact_integers():
    from math import comb

    exact = [comb(r - 1, 63) / comb(500, 64) for r in range(1, 501)]
    assert subset_weights(500, 64) == pytest.approx(exact, rel=1e-9, abs=1e-300)


def test_unbiased_and_of_less_variance_than_the_prefix():
    rng = np.random.default_rng(1)
    quality = rng.standard_normal((4000, 32))
    scores = quality + rng.standard_normal(quality.shape)
    ours = best_of_n(scores, quality, 8)
    prefix = quality[np.arange(4000), scores[:, :8].argmax(axis=1)]
    assert ours.var() < 0.6 * prefix.var()
    assert abs(ours.mean() - prefix.mean()) < 3 * prefix.std() / np.sqrt(4000)
    interval = mean_interval(ours)
    assert interval.low < BEST_OF_8 / np.sqrt(2) < interval.high


def test_curve_intervals_cover_the_expected_best():
    hits = 0
    for seed in range(400):
        scores = np.random.default_rng(seed).standard_normal((100, 16))
        interval = mean_interval(best_of_n(scores, scores, 8))
        hits += interval.low < BEST_OF_8 < interval.high
    assert 0.92 <= hits / 400 <= 0.98


def ensemble_brute_force(stack, values, n):
    from scipy.stats import rankdata

    picked = []
    for subset in combinations(range(len(values)), n):
        ranks = sum(rankdata(scores[list(subset)]) for scores in stack)
        picked.append(np.mean(values[list(subset)][ranks == ranks.max()]))
    return np.mean(picked)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_rank_ensembles_rank_inside_each_subset(n):
    rng = np.random.default_rng(3)
    first, second, values = rng.standard_normal((3, 5, 6))
    ours, exact = rank_ensemble({"a": first, "b": second}, values, n, subsets=4000)
    truth = [ensemble_brute_force([first[c], second[c]], values[c], n) for c in range(5)]
    assert exact == (n in (1, 6))
    assert ours == pytest.approx(truth, abs=1e-12 if exact else 0.06)


def test_ranking_the_pool_once_is_another_estimator():
    rng = np.random.default_rng(3)
    stack = {name: rng.standard_normal((300, 32)) for name in "abc"}
    values = sum(stack.values())
    once = sum(scores.argsort(axis=1).argsort(axis=1) for scores in stack.values())
    inside, _ = rank_ensemble(stack, values, 4, subsets=400)
    assert abs(inside.mean() - best_of_n(once, values, 4).mean()) > 1e-3


def test_an_ensemble_of_one_is_its_score():
    rng = np.random.default_rng(2)
    scores, values = rng.standard_normal((2, 40, 8))
    ours, _ = rank_ensemble({"a": scores}, values, 4, subsets=3000)
    assert ours.mean() == pytest.approx(best_of_n(scores, values, 4).mean(), abs=0.02)


def test_sets_keep_one_candidate_a_condition():
    scores = np.random.default_rng(0).standard_normal((50, 8))
    draws = best_sets(scores, 3, subsets=5)
    assert len(draws) == 5
    assert all(picks.shape == (50,) for picks in draws)
    (only,) = best_sets(scores, 8, subsets=5)
    assert (only == scores.argmax(axis=1)).all()


def test_set_metrics_of_best_of_n():
    rng = np.random.default_rng(0)
    quality = rng.standard_normal((400, 8))
    features = rng.standard_normal((400, 8, 3))
    features[..., 0] = quality

    def metric(conditions, picks):
        return fid(features[conditions, picks])

    low, top = (set_metric(quality, n, metric, subsets=10) for n in (1, 8))
    assert (low.single, top.single, low.subsets, top.subsets) == (False, True, 10, 1)
    assert low.interval.low < low.interval.value < low.interval.high
    assert top.interval.low > low.interval.high  # the best of 8 have moved away from the reference


def test_bad_pools_are_named():
    scores = np.ones((2, 4))
    with pytest.raises(ValueError, match=r"best of n=5 needs a pool .* has 4"):
        best_of_n(scores, scores, 5)
    with pytest.raises(ValueError, match=r"not \(2, 4\) and \(2, 3\)"):
        best_of_n(scores, scores[:, :3], 1)
    with pytest.raises(ValueError, match="1 of these are not"):
        best_of_n(np.array([[1.0, np.nan]]), np.ones((1, 2)), 1)


@given(SMALL)
def test_ladders_end_with_the_pool(pool):
    ladder = powers_of_two(pool)
    assert ladder[0] == 1
    assert ladder[-1] == pool
    assert list(ladder) == sorted(set(ladder))
