"""The highest mode of scores, a safer choice than the highest score where a judge can be deceived."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTH = 0.15  # of the density's kernel, and
LAMBDA = 2.0  # how much a unit of the score counts; both for scores in deviations of a prompt's candidates


def heights(values: NDArray, among: NDArray, width: float = WIDTH, lambda_: float = LAMBDA) -> NDArray[np.float64]:
    """log p(value) + lambda value, up to a constant, which is largest at the highest mode of scores.

    Where right samples score alike and what deceives a judge scores higher but is rare, the largest score is where the
    judge errs most; a mode is not.

    Args:
        values: the scores that are weighed, finite.
        among: the scores whose density is p, finite.
        width: of the density's Gaussian kernel, in the score's unit, above 0.
        lambda_: how much a unit of the score counts beside the log of the density, at least 0.

    Raises:
        ValueError: where a value is no number.
    """
    values, among = np.asarray(values, np.float64), np.asarray(among, np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"the mode of these scores cannot be found: {values.tolist()}")
    apart = (values[:, None] - among) / width
    return np.asarray(np.logaddexp.reduce(-(apart**2) / 2, axis=1) + lambda_ * values)
