"""Best of n for every n from one pool of N candidates a condition, without bias and at no further NFE.

A nested prefix uses each candidate once; these estimators average over all n-subsets of the pool (or many of them).
They hold for open-loop streams alone, whose candidates would be the same whatever the budget.
Arrays are [conditions, N]: the guiding score, and the value that is reported of a candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import rankdata

from scaling.statistics import Array, Interval, jackknife_interval

Picks = NDArray[np.int64]  # [conditions]: the candidate that each condition keeps


class SetEstimate(NamedTuple):
    """A set metric of best of n; `single` marks n = N, where there is one subset alone and nothing to average."""

    n: int
    interval: Interval
    subsets: int
    single: bool


def subset_weights(pool: int, n: int) -> Array:
    """The chance that the candidate of rank r (1 the worst) is the best of a random n-subset: C(r-1,n-1) / C(N,n).

    Computed through log-gamma, so that no binomial overflows; [N], summing to 1. ValueError where n is not in 1..N.
    """
    if not 1 <= n <= pool:
        raise ValueError(f"best of n={n} needs a pool of at least n candidates, and this one has {pool}")
    rank = np.arange(n, pool + 1)
    chosen = gammaln(rank) - gammaln(n) - gammaln(rank - n + 1)
    total = gammaln(pool + 1) - gammaln(n + 1) - gammaln(pool - n + 1)
    weights = np.zeros(pool)
    weights[n - 1 :] = np.exp(chosen - total)
    return weights / weights.sum()


def best_of_n(scores: NDArray, values: NDArray, n: int) -> Array:
    """The expected value of the best-scored of a random n-subset, condition by condition: [conditions].

    Unbiased for the mean of a fresh best of n; candidates of equal score share their chances.
    """
    scores, values = _pair(scores, values)
    order = np.argsort(scores, axis=1, kind="stable")
    weights = np.broadcast_to(subset_weights(scores.shape[1], n), scores.shape)
    weights = _shared_by_ties(np.take_along_axis(scores, order, axis=1), weights)
    return np.sum(weights * np.take_along_axis(values, order, axis=1), axis=1)


def rank_ensemble(
    scores: Mapping[str, NDArray], values: NDArray, n: int, subsets: int = 200, seed: int = 0
) -> tuple[Array, bool]:
    """Best of n by the mean of several scores' ranks, ranked again inside each subset: [conditions], and if exact.

    Ranks are relative to the set they rank, so the pool's own ranks would pick other winners. Monte Carlo over random
    subsets with common random numbers between n's; exact where n is 1 or N.
    """
    stacked = np.stack([np.asarray(each, dtype=np.float64) for each in scores.values()])
    values = _pair(stacked[0], values)[1]
    conditions, pool = values.shape
    subset_weights(pool, n)  # refuses an n that the pool has not
    if n == 1:
        return values.mean(axis=1), True
    rng = np.random.default_rng(seed)
    rounds = 1 if n == pool else subsets
    total = np.zeros(conditions)
    for _ in range(rounds):
        members = rng.permuted(np.broadcast_to(np.arange(pool), (conditions, pool)), axis=1)[:, :n]
        inside = np.stack([np.take_along_axis(each, members, axis=1) for each in stacked])
        ranks = rankdata(inside, axis=2).sum(axis=0)
        best = (ranks == ranks.max(axis=1, keepdims=True)).astype(np.float64)
        best /= best.sum(axis=1, keepdims=True)  # equals share
        total += np.sum(np.take_along_axis(values, members, axis=1) * best, axis=1)
    return total / rounds, n == pool


def best_sets(scores: NDArray, n: int, subsets: int, seed: int = 0) -> list[Picks]:
    """Which candidate each condition keeps, in each of many independent draws of n-subsets; one draw where n = N."""
    scores = np.asarray(scores, dtype=np.float64)
    conditions, pool = scores.shape
    subset_weights(pool, n)
    rng = np.random.default_rng(seed)
    picks = []
    for _ in range(1 if n == pool else subsets):
        members = rng.permuted(np.broadcast_to(np.arange(pool), (conditions, pool)), axis=1)[:, :n]
        best = np.take_along_axis(scores, members, axis=1).argmax(axis=1)  # the order is random, so ties are too
        picks.append(members[np.arange(conditions), best])
    return picks


def set_metric(
    scores: NDArray,
    n: int,
    metric: Callable[[NDArray, NDArray], float],
    subsets: int = 20,
    groups: int = 20,
    seed: int = 0,
) -> SetEstimate:
    """A set metric of best of n at a constant number of conditions, averaged over random subsets.

    `metric(conditions, picks)` judges the samples (condition, candidate) given by two index arrays. The interval is the
    delete-group jackknife of that average: it covers the metric's expectation at this number of conditions.
    """
    draws = best_sets(scores, n, subsets, seed)
    everyone = np.arange(len(scores))
    value = float(np.mean([metric(everyone, picks) for picks in draws]))
    replicates = []
    for group in range(groups):
        kept = everyone[everyone % groups != group]
        replicates.append(np.mean([metric(kept, picks[kept]) for picks in draws]))
    low, high = jackknife_interval(value, np.array(replicates))
    return SetEstimate(n, Interval(value, low, high), len(draws), n == np.shape(scores)[1])


def powers_of_two(pool: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to the pool's size, and that size itself."""
    ladder = [2**k for k in range(pool.bit_length()) if 2**k <= pool]
    return tuple(dict.fromkeys([*ladder, pool]))


def _pair(scores: NDArray, values: NDArray) -> tuple[Array, Array]:
    scores, values = np.asarray(scores, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if scores.ndim != 2 or scores.shape != values.shape:
        raise ValueError(f"scores and values are both [conditions, N], not {scores.shape} and {values.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"a pool's scores are finite, and {int((~np.isfinite(scores)).sum())} of these are not")
    return scores, values


def _shared_by_ties(ordered: Array, weights: Array) -> Array:
    """Weights averaged within runs of equal scores; rows are sorted."""
    new = np.ones_like(ordered, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    if new.all():
        return weights
    label = np.cumsum(new.ravel()) - 1  # a number for each run, rows included: each row starts a new one
    total = np.bincount(label, weights.ravel())
    return (total / np.bincount(label))[label].reshape(ordered.shape)
