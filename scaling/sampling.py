"""Deterministic samplers over per-row times. All integrate one equation, dx = x0 dalpha + eps dsigma.

Euler on it is DDIM for a variance-preserving schedule and the plain Euler step for flow matching; Heun (the
trapezoid rule) and the 3/8 rule of Kutta are the ones that SiT takes from torchdiffeq. Stepping is ours: a library's
scheduler counts its own steps and cannot branch or rewind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.protocols import Denoise, Prediction, Schedule
from scaling.schedules import Flow


class Solved(NamedTuple):
    """Where a solve ended: x at the last time, its clean prediction, and what was kept in passing."""

    x: Float[Tensor, "n *latent"]
    x0: Float[Tensor, "n *latent"]
    probe: Float[Tensor, "n *latent"] | None


class Sampler(Protocol):
    """Takes rows from times[:, 0] to times[:, -1] and knows beforehand what that costs."""

    def steps(self, nfe: int) -> int:
        """How many steps spend exactly `nfe`; a ValueError names the nearest that can be spent."""
        ...

    def nfe(self, times: Tensor, score: bool = True) -> int: ...
    def advance(
        self,
        denoise: Denoise,
        schedule: Schedule,
        x: Tensor,
        times: Float[Tensor, "n steps+1"],
        score: bool,
        probe: float | None = None,
    ) -> Solved: ...


@dataclass(frozen=True)
class RungeKutta:
    """An explicit Runge-Kutta rule; a step mixes the increments x0 dalpha + eps dsigma of its evaluations."""

    nodes: ClassVar[tuple[float, ...]]  # where in the step each evaluation sits, as a fraction of it
    matrix: ClassVar[tuple[tuple[float, ...], ...]]  # how much of the earlier increments lead to each evaluation
    weights: ClassVar[tuple[float, ...]]  # how much of each increment makes the step

    def steps(self, nfe: int) -> int:
        evaluations = len(self.nodes)
        if nfe < 1 or nfe % evaluations:
            nearest = max(round(nfe / evaluations), 1) * evaluations
            raise ValueError(
                f"{type(self).__name__} makes {evaluations} evaluations a step and cannot spend nfe={nfe} exactly; "
                f"the nearest it can is {nearest}"
            )
        return nfe // evaluations

    def nfe(self, times: Tensor, score: bool = True) -> int:
        """Evaluations a row: those of the steps, and one more for the x0 to score at a last time above 0."""
        steps = times.shape[-1] - 1
        asks_x0 = steps == 0 or (score and bool(times[..., -1].max() > 0))
        return steps * len(self.nodes) + asks_x0

    def advance(
        self,
        denoise: Denoise,
        schedule: Schedule,
        x: Tensor,
        times: Float[Tensor, "n steps+1"],
        score: bool,
        probe: float | None = None,
    ) -> Solved:
        """Solves all rows side by side; `times` is float64 on the CPU, so nothing here waits for the device.

        Every row must end at 0 or every row above it. Without a score, x0 at a last time above 0 is the one that the
        last step began with, at no cost. `probe` keeps the prediction made at the noise level nearest to it.
        """
        self._check(schedule)
        steps = times.shape[1] - 1
        nearest = _nearest_step(schedule, times, probe)
        kept = torch.zeros_like(x) if probe is not None else None
        x0 = x
        for i in range(steps):
            x, first = self._step(denoise, schedule, x, times[:, i], times[:, i + 1])
            x0 = first.x0
            if kept is not None:
                kept = torch.where(_rows(nearest == i, x), x0, kept)
        ends_clean = bool(times[0, -1] == 0)
        if steps == 0 or (score and not ends_clean):
            x0 = denoise(x, times[:, -1].to(x.device, torch.float32)).x0
        elif ends_clean:
            x0 = x
        return Solved(x, x0, x0 if steps == 0 and probe is not None else kept)

    def _check(self, schedule: Schedule) -> None:
        """Euler and Heun keep their order on any smooth schedule."""

    def _step(self, denoise: Denoise, schedule: Schedule, x: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Prediction]:
        dalpha = _rows(schedule.alpha(s) - schedule.alpha(t), x)
        dsigma = _rows(schedule.sigma(s) - schedule.sigma(t), x)
        predictions: list[Prediction] = []
        for node, row in zip(self.nodes, self.matrix, strict=True):
            point = x + _mix(row, predictions, dalpha, dsigma) if row else x
            predictions.append(denoise(point, torch.lerp(t, s, node).to(x.device, torch.float32)))
        return x + _mix(self.weights, predictions, dalpha, dsigma), predictions[0]


class Euler(RungeKutta):
    """One evaluation a step; DDIM (eta 0) on a variance-preserving schedule."""

    nodes, matrix, weights = (0.0,), ((),), (1.0,)


class Heun(RungeKutta):
    """The trapezoid rule, two evaluations a step, the last one at the end of the step (also at time 0)."""

    nodes, matrix, weights = (0.0, 1.0), ((), (1.0,)), (0.5, 0.5)


class RK4(RungeKutta):
    """Kutta's 3/8 rule, four evaluations a step (what torchdiffeq calls rk4); straight paths only."""

    nodes = (0.0, 1 / 3, 2 / 3, 1.0)
    matrix = ((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0))
    weights = (1 / 8, 3 / 8, 3 / 8, 1 / 8)

    def _check(self, schedule: Schedule) -> None:
        if not isinstance(schedule, Flow):
            raise ValueError(f"RK4 keeps its order on flow-matching schedules only, not {type(schedule).__name__}")


def _mix(weights: tuple[float, ...], predictions: list[Prediction], dalpha: Tensor, dsigma: Tensor) -> Tensor:
    x0 = sum(w * p.x0 for w, p in zip(weights, predictions, strict=True))
    eps = sum(w * p.eps for w, p in zip(weights, predictions, strict=True))
    return dalpha * x0 + dsigma * eps


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """One value a row, shaped to broadcast over `like`."""
    dtype = values.dtype if values.dtype == torch.bool else like.dtype
    return values.to(like.device, dtype).view(-1, *[1] * (like.ndim - 1))


def _nearest_step(schedule: Schedule, times: Tensor, sigma: float | None) -> Tensor:
    """For each row the step that begins nearest to a noise level."""
    if sigma is None or times.shape[1] < 2:
        return torch.zeros(len(times), dtype=torch.long)
    return (schedule.sigma(times[:, :-1]) - sigma).abs().argmin(dim=1)
