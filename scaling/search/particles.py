"""Populations of particles: when they are weighed, and how many descendants each one gets."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def weighing_steps(steps: int, start: float, every: float) -> frozenset[int]:
    """The steps before the last at which particles are weighed: `start` and each `every` after it, as shares of all.

    0.2 and 0.2 of 100 steps are 20, 40, 60, 80.
    """
    shares = np.arange(start, 1, every)
    return frozenset(int(i) for i in np.round(shares * steps) if i < steps - 1)


def shares(log_weights: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Weights that sum to 1; a ValueError where one is not a number or none is greater than 0."""
    weights = log_weights.double().softmax(dim=0)
    if not bool(weights.isfinite().all()):
        raise ValueError(f"the particles cannot be weighed: their log weights are {log_weights.tolist()}")
    return weights


def effective(weights: Float[Tensor, " n"]) -> float:
    """The effective sample size of weights that sum to 1, between 1 and n."""
    return float(1 / weights.square().sum())


def resample(
    weights: Float[Tensor, " n"], method: str, rng: np.random.Generator, count: int | None = None
) -> Int[Tensor, " count"]:
    """`count` ancestors, as many as particles by default; each gets count times its weight of them on average.

    `weights` sum to 1. By `method`: `multinomial` draws from `rng` independently, `systematic` one comb of equally
    spaced points.
    """
    n = len(weights) if count is None else count
    points = np.sort(rng.random(n)) if method == "multinomial" else (np.arange(n) + rng.random()) / n
    ladder = weights.numpy().cumsum()
    return torch.from_numpy(np.searchsorted(ladder / ladder[-1], points, side="right").clip(max=len(weights) - 1))


def descendants(weights: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Ancestors in proportion to round(n weight), without chance: repeated or cut to n."""
    n = len(weights)
    ancestors = torch.arange(n).repeat_interleave((n * weights).round().long())
    return ancestors.repeat(-(-n // len(ancestors)))[:n]
