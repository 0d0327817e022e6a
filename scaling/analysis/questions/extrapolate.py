"""How a curve goes on: a saturating power law and a logarithm, against carrying the last value forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.lines import bought, intervals
from scaling.statistics import Array, Interval, range_of, rounding

LEAST = 4  # rungs that a fit needs, before one is held out
EXPONENTS = np.geomspace(0.02, 4.0, 80)
RESAMPLES = 500
Predict = Callable[[NDArray], Array]


@dataclass(frozen=True)
class Extrapolation:
    """A curve's best law, what it predicts and how it fared on rungs that it had not seen.

    `errors` are mean absolute errors by law, one rung ahead, `carry` that of repeating the last value; `law` is the one
    of least error, or "carry" where neither beats it. Bands cover the law's uncertainty from the values' intervals.
    """

    metric: str
    law: str
    errors: dict[str, float]
    nfe: tuple[float, ...]
    predicted: tuple[Interval, ...]

    @property
    def words(self) -> str:
        """One sentence for people."""
        carry, best = self.errors["carry"], self.errors[self.law]
        ahead = f"{self.nfe[-1]:,.0f} NFE: {self.predicted[-1].value:.4g}"
        if self.law == "carry":
            return f"{self.metric}: no law beats carrying the last value forward (error {carry:.3g}); at {ahead}"
        law = {"power": "a saturating power law", "log": "a logarithm"}[self.law]
        return f"{self.metric} follows {law} (held-out error {best:.3g}, carrying forward {carry:.3g}); at {ahead}"


def extrapolate(runs: Sequence[Run], metric: str, factor: float = 8.0, seed: int = 0) -> Extrapolation:
    """Extrapolates a curve (of one run, or of runs that differ in their seed) to `factor` times its largest budget.

    ValueError where it has too few rungs or is not monotone beyond its intervals: no law here turns.
    """
    rungs = bought(runs)
    x = np.array([runs[0].series(metric)[rung].nfe for rung in rungs])
    known = intervals(runs, metric)
    values = [known[rung] for rung in rungs]
    y = np.array([each.value for each in values])
    error = np.array([(each.high - each.low) / 3.92 for each in values])
    if len(x) < LEAST:
        raise ValueError(f"{metric} has {len(x)} rungs; an extrapolation needs {LEAST}")
    turn = turning_rung(y, error)
    if turn is not None:
        raise ValueError(f"{metric} is not monotone (it turns at {x[turn]:,.0f} NFE), so no law here extrapolates it")
    errors = held_out_errors(x, y)
    flat = errors["carry"] <= rounding(np.abs(y).max())  # what it is off by is how it rounds, as for any law
    law = "carry" if flat else min(errors, key=lambda name: errors[name])
    ahead = np.geomspace(x[-1], x[-1] * factor, 12)
    bands = _bands(law, x, y, error, ahead, seed, range_of(metric, *y.tolist()))
    return Extrapolation(metric, law, errors, tuple(ahead), bands)


def turning_rung(y: NDArray, error: NDArray) -> int | None:
    """Where the curve turns: its interior extreme, if it leaves a trend by more than the errors; None for monotone."""
    least = rounding(np.abs(y).max())
    if np.abs(y[-1] - y[0]) <= least:
        return None
    trend = np.sign(y[-1] - y[0])
    spread = 1.96 * np.hypot(np.nan_to_num(error[1:]), np.nan_to_num(error[:-1])) + least
    best = np.maximum.accumulate(y * trend)[:-1]
    against = np.flatnonzero(best - y[1:] * trend > spread)
    if not len(against):
        return None
    inside = y[1:-1]
    outward = (np.abs(inside - y[0]) + np.abs(inside - y[-1])) * ((inside - y[0]) * (inside - y[-1]) > 0)
    return int(outward.argmax()) + 1


def held_out_errors(x: NDArray, y: NDArray) -> dict[str, float]:
    """Mean absolute error one rung ahead of each law fitted to the rungs before, over all rungs from the fourth on."""
    errors: dict[str, list[float]] = {"power": [], "log": [], "carry": []}
    for held in range(LEAST - 1, len(x)):
        for law in errors:
            predicted = fit(law, x[:held], y[:held])(x[held : held + 1])[0]
            errors[law].append(abs(predicted - y[held]))
    return {law: float(np.mean(each)) for law, each in errors.items()}


def fit(law: str, x: NDArray, y: NDArray) -> Predict:
    """Least squares of "power" (c + a x^-b), "log" (c + a log x) or "carry" (the last value).

    `y` may hold many curves, [..., rungs]; the prediction is then [..., ahead].
    """
    y = np.asarray(y, dtype=np.float64)
    if law == "carry":
        return lambda ahead: np.broadcast_to(y[..., -1:], (*y.shape[:-1], len(ahead)))
    if law == "log":
        weights = y @ np.linalg.pinv(_log_basis(x)).T
        return lambda ahead: weights @ _log_basis(ahead).T
    bases = _power_bases(x, x[0])
    options = np.einsum("ewk,...k->...ew", np.linalg.pinv(bases), y)
    misfit = np.sum((np.einsum("ekw,...ew->...ek", bases, options) - y[..., None, :]) ** 2, axis=-1)
    best = misfit.argmin(axis=-1)
    weights = np.take_along_axis(options, best[..., None, None], axis=-2)[..., 0, :]
    return lambda ahead: np.einsum("...kw,...w->...k", _power_bases(ahead, x[0])[best], weights)


def _log_basis(x: NDArray) -> Array:
    return np.stack([np.ones_like(x), np.log(x)], axis=-1)


def _power_bases(x: NDArray, scale: float) -> Array:
    """[exponents, rungs, 2]: a constant and a power, for every exponent tried."""
    powers = (x / scale) ** -EXPONENTS[:, None]
    return np.stack([np.ones_like(powers), powers], axis=-1)


def _bands(
    law: str, x: NDArray, y: NDArray, error: NDArray, ahead: NDArray, seed: int, within: tuple[float, float]
) -> tuple[Interval, ...]:
    """The prediction, with the spread of refits to values redrawn within their errors, `within` what can be."""
    middle = fit(law, x, y)(ahead)
    rng = np.random.default_rng(seed)
    redrawn = y + np.nan_to_num(error) * rng.standard_normal((RESAMPLES, len(y)))
    low, high = np.quantile(fit(law, x, redrawn)(ahead), (0.025, 0.975), axis=0)
    return tuple(Interval(*map(float, row.clip(*within))) for row in np.stack([middle, low, high], axis=1))
