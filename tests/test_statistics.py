import numpy as np
import pytest
from folders import GROUPS, fid

from scaling.statistics import (
    Interval,
    combine_seeds,
    fixed_list_interval,
    in_range,
    jackknife_interval,
    mean_interval,
    paired_mean_difference,
    paired_set_difference,
    simultaneous_intervals,
)


def coverage(trials, interval_of, truth):
    """The share of simulated studies whose interval holds the truth."""
    hits = [low < truth < high for low, high in (interval_of(np.random.default_rng(k)) for k in range(trials))]
    return float(np.mean(hits))


def without_groups(metric, rows):
    index = np.arange(len(rows))
    return np.array([metric(rows[index % GROUPS != group]) for group in range(GROUPS)])


def inception_score(probabilities):
    mean = probabilities.mean(axis=0)
    return float(np.exp(np.mean(np.sum(probabilities * np.log(probabilities / mean), axis=1))))


def draw_probabilities(rng, count):
    logits = rng.standard_normal((count, 5)) * 2
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def test_interval_holds_its_mean_and_is_the_same_for_the_same_seed():
    values = np.random.default_rng(0).standard_normal(200)
    first, again = mean_interval(values, seed=3), mean_interval(values, seed=3)
    assert first == again
    assert first.value == values.mean()
    assert first.low < first.value < first.high


def test_interval_is_close_to_students_for_many_values():
    values = np.random.default_rng(1).standard_normal(5000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    interval = mean_interval(values)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.05)


def test_shares_never_claim_certainty():
    interval = mean_interval(np.ones(100))
    assert interval.value == interval.high == 1.0
    assert 0.95 < interval.low < 0.98


def test_one_value_has_no_interval():
    value, low, high = mean_interval(np.array([2.0]))
    assert value == 2.0
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("bad", [np.array([]), np.array([1.0, np.nan]), np.ones((2, 2))])
def test_bad_values_are_named(bad):
    with pytest.raises(ValueError, match="an interval needs"):
        mean_interval(bad)


@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential"])
def test_mean_intervals_cover_the_mean(draw):
    truth = 0.0 if draw == "standard_normal" else 1.0
    assert 0.92 <= coverage(600, lambda rng: mean_interval(getattr(rng, draw)(150))[1:], truth) <= 0.98


def test_share_intervals_cover_the_share():
    assert 0.92 <= coverage(1000, lambda rng: mean_interval((rng.random(200) < 0.9) * 1.0)[1:], 0.9) <= 0.98


def test_fid_intervals_cover_the_expected_fid_at_that_count():
    def draw(rng):
        return rng.standard_normal((400, 8)) * 1.2 + 0.1

    def interval(rng):
        rows = draw(rng)
        return jackknife_interval(fid(rows), without_groups(fid, rows))

    expected = np.mean([fid(draw(np.random.default_rng([9, k]))) for k in range(2000)])
    assert 0.92 <= coverage(500, interval, expected) <= 0.98


def test_inception_score_intervals_cover_the_expected_score():
    def interval(rng):
        rows = draw_probabilities(rng, 400)
        return jackknife_interval(inception_score(rows), without_groups(inception_score, rows))

    draws = (draw_probabilities(np.random.default_rng([9, k]), 400) for k in range(2000))
    assert 0.92 <= coverage(500, interval, np.mean([inception_score(rows) for rows in draws])) <= 0.98


def test_jackknife_of_a_mean_is_the_standard_error():
    values = np.random.default_rng(2).standard_normal(GROUPS)
    low, high = jackknife_interval(values.mean(), without_groups(np.mean, values))
    error = values.std(ddof=1) / np.sqrt(GROUPS)
    assert high - low == pytest.approx(2 * 2.093 * error, rel=1e-3)


def test_pairing_beats_independent_intervals():
    rng = np.random.default_rng(4)
    hard = rng.standard_normal(300) * 3
    ours, theirs = hard + 0.2 + 0.1 * rng.standard_normal(300), hard
    paired = paired_mean_difference(ours, theirs)
    assert paired.excludes_zero
    assert paired.low < 0.2 < paired.high
    assert mean_interval(ours).low < mean_interval(theirs).high


def test_pairs_count_where_the_metric_applies_to_both():
    rng = np.random.default_rng(6)
    ours, theirs = rng.standard_normal((2, 40))
    gaps = [2, 5, 30], [5, 7]
    applies = np.delete(np.arange(40), [2, 5, 7, 30])
    expected = paired_mean_difference(ours[applies], theirs[applies])
    ours[gaps[0]], theirs[gaps[1]] = np.nan, np.nan
    assert paired_mean_difference(ours, theirs) == expected


def test_no_pair_and_infinite_values_are_named():
    gaps = np.array([1.0, np.nan, np.nan])
    with pytest.raises(ValueError, match="both values; of 3 none has"):
        paired_mean_difference(gaps, np.array([np.nan, 1.0, np.nan]))
    with pytest.raises(ValueError, match="finite values, not inf"):
        paired_mean_difference(np.array([1.0, np.inf]), np.ones(2))


def test_the_same_twice_differs_by_nothing():
    values = np.random.default_rng(4).standard_normal(50)
    assert tuple(paired_mean_difference(values, values)) == (0.0, 0.0, 0.0)
    assert tuple(paired_set_difference(1.0, values, 1.0, values)) == (0.0, 0.0, 0.0)


def test_paired_set_differences_cover_the_expected_difference():
    def interval(rng):
        rows = rng.standard_normal((200, 4))
        other = rows * 1.1 + 0.05 * rng.standard_normal(rows.shape)
        reps, other_reps = without_groups(fid, rows), without_groups(fid, other)
        return paired_set_difference(fid(rows), reps, fid(other), other_reps)[1:]

    def difference(rng):
        rows = rng.standard_normal((200, 4))
        return fid(rows) - fid(rows * 1.1 + 0.05 * rng.standard_normal(rows.shape))

    expected = np.mean([difference(np.random.default_rng([7, k])) for k in range(3000)])
    assert 0.92 <= coverage(500, interval, expected) <= 0.98


def test_pairs_must_match():
    with pytest.raises(ValueError, match="same conditions, not 3 and 4"):
        paired_mean_difference(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="same groups, not 3 and 4"):
        paired_set_difference(0.0, np.ones(3), 0.0, np.ones(4))
    with pytest.raises(ValueError, match="not 3 and 4 of them"):
        combine_seeds([np.ones(3), np.ones(4)])


def test_seeds_average_condition_by_condition():
    assert combine_seeds([np.array([1.0, 2.0]), np.array([3.0, 6.0])]).tolist() == [2.0, 4.0]


def test_a_metric_of_zeros_is_no_share():
    assert mean_interval(np.zeros(40)) == (0, 0, 0)
    assert mean_interval(np.ones(40)).low < 1
    assert mean_interval(np.zeros(40), metric="accuracy").high == pytest.approx(1 - mean_interval(np.ones(40)).low)
    assert mean_interval(np.zeros(40), metric="accuracy_of_color") != (0, 0, 0)


@pytest.mark.parametrize(
    ("metric", "interval", "shown"),
    [
        ("recall", (0.9, 0.7, 1.1), (0.9, 0.7, 1)),
        ("precision_dino", (0.1, -0.1, 0.3), (0.1, 0, 0.3)),
        ("fid", (3, -2, 8), (3, 0, 8)),
        ("fid(inception)", (3, -2, 8), (3, 0, 8)),
        ("inception_score", (1.2, 0.8, 1.6), (1.2, 1, 1.6)),
        ("kid", (0.1, -0.1, 0.3), (0.1, -0.1, 0.3)),
        ("precision", (85, 80, 90), (85, 80, 90)),  # of one's own, in percent
    ],
)
def test_an_interval_is_within_the_metrics_range(metric, interval, shown):
    assert in_range(metric, Interval(*interval)) == shown
    assert np.isnan(in_range(metric, Interval(interval[0], np.nan, np.nan))).sum() == 2


def test_simultaneous_intervals_hold_all_rungs_at_once():
    """Three rungs that share their conditions: 95 % of the studies have all three truths inside, as one rung has."""
    truth = np.array([0.0, 0.5, 1.0])

    def study(k):
        rng = np.random.default_rng(k)
        return truth + rng.standard_normal((60, 1)) + rng.standard_normal((60, 3))

    bands = [simultaneous_intervals(study(k)) for k in range(300)]
    inside = [all(low < t < high for t, (_, low, high) in zip(truth, band, strict=True)) for band in bands]
    assert 0.92 <= np.mean(inside) <= 0.98
    pointwise = [mean_interval(column) for column in study(0).T]
    assert all(b.high - b.low > p.high - p.low for b, p in zip(bands[0], pointwise, strict=True))


def test_simultaneous_intervals_of_one_rung_are_the_usual_one_and_of_equal_values_none():
    values = np.random.default_rng(4).standard_normal((400, 1))
    (band,), usual = simultaneous_intervals(values), mean_interval(values[:, 0])
    assert band.value == pytest.approx(usual.value)
    assert band.high - band.low == pytest.approx(usual.high - usual.low, rel=0.05)
    flat, moved = simultaneous_intervals(np.column_stack((np.zeros(400), values)))
    assert flat == (0.0, 0.0, 0.0)
    assert moved.low < moved.value < moved.high
    assert np.isnan(simultaneous_intervals(np.ones((1, 2)))[0].low)


@pytest.mark.parametrize("constant", [0.0, 0.3, -7.1, 1e6 / 3])
def test_a_rung_that_is_the_same_everywhere_widens_no_other(constant):
    moved = np.random.default_rng(0).standard_normal(250)
    alone, _ = simultaneous_intervals(np.column_stack((moved, np.zeros(250))))
    assert simultaneous_intervals(moved[:, None])[0] == pytest.approx(alone)
    band, flat = simultaneous_intervals(np.column_stack((moved, np.full(250, constant))))
    assert band == alone
    assert flat.low == flat.value == flat.high
    rounded = np.full(250, constant) * (1 + 2**-52 * (np.arange(250) % 2))
    assert simultaneous_intervals(np.column_stack((moved, rounded)))[0] == alone


def test_the_interval_of_a_fixed_list_covers_fresh_noises_on_it_and_no_other_conditions():
    conditions = 3 * np.random.default_rng(0).standard_normal(40)
    truth = conditions.mean()

    def fixed(rng):
        return fixed_list_interval(conditions + rng.standard_normal((3, 40)))[1:]

    assert 0.92 <= coverage(400, fixed, truth) <= 0.98
    rng = np.random.default_rng(1)
    values = conditions + rng.standard_normal((3, 40))
    narrow, wide = fixed_list_interval(values), mean_interval(values.mean(axis=0))
    assert narrow.value == pytest.approx(wide.value)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    assert np.isnan(fixed_list_interval(values[:1]).low)
