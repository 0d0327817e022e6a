"""Intervals at 95 % for what a study measures, each named for what it covers.

Means over conditions are resampled over conditions. Set metrics (FID, IS, ...) come with delete-group replicates: the
metric without the conditions of each group. The groups are the same in every run, so that differences are paired.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVEL = 0.95
RESAMPLES = 2000
ROUNDING = 1e-12  # of a number of 1 or more: what sums and means of it may be off by
CHUNK = 250_000  # resampled values held at a time: what a cache holds
RANGES = {  # what metrics can be, by a word of their name
    **dict.fromkeys(("accuracy", "precision", "recall"), (0.0, 1.0)),
    "fid": (0.0, math.inf),
    "inception_score": (1.0, math.inf),
}


class Interval(NamedTuple):
    """An estimate and its 95 % interval; low and high are NaN where one observation says nothing about spread."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether all of it lies on one side of 0."""
        return self.low > 0 or self.high < 0


def rounding(size: NDArray | float) -> Array:
    """The largest difference between numbers of this size, of 1 at least, that says nothing but how they round."""
    return np.asarray(ROUNDING * np.maximum(1.0, np.abs(size)))


def mean_interval(values: NDArray, seed: int = 0, metric: str = "") -> Interval:
    """The mean of independent values and an interval that covers the population's mean.

    A bootstrap whose percentiles are widened for small samples (Hesterberg 2015, The American Statistician 69,
    "expanded percentile"); values of 0 and 1 take Wilson's interval, right even where all are 1; values that are
    all 0 need not be a share, and have no spread, but of a `metric` that is one by its name. ValueError where there is
    no value or one is not finite.
    """
    values = _checked(values)
    is_share = 1.0 in values or range_of(metric) == (0.0, 1.0)
    if len(values) > 1 and is_share and np.isin(values, (0.0, 1.0)).all():
        return Interval(float(values.mean()), *_wilson(float(values.mean()), len(values)))
    return _bootstrap(values, seed)


def in_range(metric: str, interval: Interval) -> Interval:
    """An interval within what a metric of that name can be; one that is measured on another scale keeps its own."""
    value, low, high = interval
    least, most = range_of(metric, value)
    return interval if low != low else Interval(value, max(low, least), min(high, most))


def range_of(metric: str, *values: float) -> tuple[float, float]:
    """What a metric of that name can be; everything, where it took other values."""
    words = (metric, *re.split(r"[^a-z]+", metric.lower()))
    least, most = next((RANGES[word] for word in words if word in RANGES), (-math.inf, math.inf))
    return (least, most) if all(least <= value <= most for value in values) else (-math.inf, math.inf)


def jackknife_interval(value: float, replicates: NDArray) -> tuple[float, float]:
    """An interval that covers the expected set metric at this count of conditions (its finite-sample bias included).

    `replicates` are the metric without each of G groups of conditions; the spread is sqrt((G-1)/G sum (r - mean)^2)
    (Shao and Tu 1995, The Jackknife and Bootstrap, section 2.3), with Student's t of G-1 degrees of freedom.
    """
    from scipy import stats

    replicates = _checked(replicates)
    groups = len(replicates)
    if groups < 2:
        return float("nan"), float("nan")
    error = float(np.sqrt((groups - 1) / groups * np.sum((replicates - replicates.mean()) ** 2)))
    half = float(stats.t.ppf((1 + LEVEL) / 2, groups - 1)) * error
    return value - half, value + half


def paired_mean_difference(ours: NDArray, theirs: NDArray, seed: int = 0) -> Interval:
    """Mean of ours minus theirs, condition by condition: both saw the same conditions in the same order.

    NaN marks a condition that the metric does not apply to; pairs without one count. ValueError where none is left.
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"a paired difference needs the same conditions, not {len(ours)} and {len(theirs)} of them")
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    if ours.size and not both.any():
        raise ValueError(f"a paired difference needs a condition with both values; of {ours.size} none has")
    return _bootstrap(_checked(ours[both]) - _checked(theirs[both]), seed)


def simultaneous_intervals(values: NDArray, seed: int = 0) -> tuple[Interval, ...]:
    """Intervals of several means of the same conditions that hold all at once, in 95 % of the studies.

    For what is chosen after looking at all of them, as a rung is. Sup-t bands: the largest studentized distance over
    the columns, in a bootstrap over conditions (Montiel Olea and Plagborg-Moller 2019; for best of n 2609.40190).

    Args:
        values: [conditions, rungs], finite, or their paired differences.

    Returns:
        An interval a rung; of no width where all conditions agree, NaN bounds of a single condition.
    """
    from scipy import stats

    values = np.asarray(values, dtype=np.float64)
    columns = [_checked(column) for column in values.T]
    count, means = len(values), values.mean(axis=0)
    if count == 1:
        return tuple(Interval(float(mean), float("nan"), float("nan")) for mean in means)
    draws = np.stack([_resampled_means(column, seed) for column in columns], axis=1)  # the same rows for each column
    moves = np.ptp(values, axis=0) > rounding(means)  # means of equal values differ by how they round
    spread = np.where(moves, draws.std(axis=0), 0.0)
    apart = np.abs(draws - means)[:, spread > 0] / spread[spread > 0]
    reach = np.quantile(apart.max(axis=1), LEVEL) if apart.size else 0.0
    small = stats.t.ppf((1 + LEVEL) / 2, count - 1) / stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(count / (count - 1))
    half = reach * small * spread
    return tuple(Interval(float(m), float(m - h), float(m + h)) for m, h in zip(means, half, strict=True))


def widened(interval: Interval, count: int, degrees: int = 19) -> Interval:
    """An interval of Student's t that holds together with others, `count` in all (Bonferroni).

    `degrees` of freedom: those of the jackknife's 20 groups by default.
    """
    from scipy import stats

    factor = stats.t.ppf(1 - (1 - LEVEL) / 2 / count, degrees) / stats.t.ppf((1 + LEVEL) / 2, degrees)
    low, high = (interval.value + factor * (bound - interval.value) for bound in interval[1:])
    return Interval(interval.value, float(low), float(high))


def fixed_list_interval(values: NDArray) -> Interval:
    """The mean over this very list of conditions, and an interval for what fresh noises would give on it.

    Nothing is said of other conditions, so it is narrower than `mean_interval` wherever conditions differ (2609.40190).

    Args:
        values: [repeats, conditions]: independent repeats (seeds) of each condition, at least 2 for bounds.
    """
    from scipy import stats

    values = np.asarray(values, dtype=np.float64)
    for row in values:
        _checked(row)
    repeats, count = values.shape
    mean = float(values.mean())
    if repeats < 2:
        return Interval(mean, float("nan"), float("nan"))
    error = float(np.sqrt((values.var(axis=0, ddof=1) / repeats).sum())) / count
    half = float(stats.t.ppf((1 + LEVEL) / 2, count * (repeats - 1))) * error
    return Interval(mean, mean - half, mean + half)


def paired_set_difference(value: float, replicates: NDArray, other: float, other_replicates: NDArray) -> Interval:
    """Difference of a set metric between two runs, `value` less `other`, whose replicates left out the same groups.

    Raises:
        ValueError: where the groups are not as many, or a replicate is not finite.
    """
    replicates, other_replicates = _checked(replicates), _checked(other_replicates)
    if replicates.shape != other_replicates.shape:
        raise ValueError(
            f"a paired difference needs the same groups, not {len(replicates)} and {len(other_replicates)}"
        )
    return Interval(value - other, *jackknife_interval(value - other, replicates - other_replicates))


def combine_seeds(per_seed: Sequence[NDArray]) -> Array:
    """Averages the same conditions (or the same jackknife groups) over seeds, before any interval is taken.

    So the interval keeps the conditions as its units and shrinks only by what the seeds differ in. A ValueError where
    the seeds are of different numbers of conditions.
    """
    arrays = [_checked(values) for values in per_seed]
    counts = sorted({len(values) for values in arrays})
    if len(counts) != 1:
        raise ValueError(f"seeds are combined over the same conditions, not {' and '.join(map(str, counts))} of them")
    return np.mean(arrays, axis=0)


def applying(values: NDArray) -> Array:
    """Values of the same conditions, [..., conditions], at those that have all of them (none is NaN)."""
    values = np.asarray(values, dtype=np.float64)
    return values[..., np.isfinite(values).reshape(-1, values.shape[-1]).all(axis=0)]


def _checked(values: NDArray) -> Array:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"an interval needs a row of values, not an array of shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"an interval needs finite values, not {values[~np.isfinite(values)][0]}")
    return values


def _bootstrap(values: Array, seed: int) -> Interval:
    from scipy import stats

    count, value = len(values), float(values.mean())
    if count == 1:
        return Interval(value, float("nan"), float("nan"))
    tail = stats.norm.cdf(stats.t.ppf((1 - LEVEL) / 2, count - 1) * np.sqrt(count / (count - 1)))
    low, high = np.quantile(_resampled_means(values, seed), (tail, 1 - tail))
    return Interval(value, float(low), float(high))


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); scipy's differs in the last bits of finished results."""
    from scipy import stats

    z = stats.norm.ppf((1 + LEVEL) / 2)
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return float(min(center - half, share)), float(max(center + half, share))


def _resampled_means(values: Array, seed: int) -> Array:
    """Means of RESAMPLES bootstrap samples, drawn in chunks so that memory stays flat."""
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK // len(values))
    means = []
    for start in range(0, RESAMPLES, rows):
        size = (min(rows, RESAMPLES - start), len(values))
        picks = generator.integers(0, len(values), size=size, dtype=np.int32)
        means.append(values[picks].mean(axis=1))
    return np.concatenate(means)
