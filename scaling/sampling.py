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
    """Where a solve ended: x at the last time, its clean prediction, what was kept in passing, the sum of the gaps."""

    x: Float[Tensor, "n *latent"]
    x0: Float[Tensor, "n *latent"]
    probe: Float[Tensor, "n *latent"] | None
    gap: Float[Tensor, " n"] | None = None


class Path(NamedTuple):
    """A solve's time grid as its steps need it, on the device."""

    dalpha: Float[Tensor, "n steps *ones"]
    dsigma: Float[Tensor, "n steps *ones"]
    points: Float[Tensor, "nodes n steps"]  # times of the evaluations


class Sampler(Protocol):
    """Takes rows from times[:, 0] to times[:, -1] and knows beforehand what that costs."""

    def steps(self, nfe: int) -> int:
        """How many steps spend exactly `nfe`; a ValueError names the nearest that can be spent."""
        ...

    def nfe(self, times: Tensor, score: bool = True) -> int:
        """Calls of the denoiser that a row with these times costs, the one for an x0 to score included."""
        ...

    def advance(
        self,
        denoise: Denoise,
        schedule: Schedule,
        x: Float[Tensor, "n *latent"],
        times: Float[Tensor, "n times"],
        score: bool,
        probe_sigma: float | None = None,
    ) -> Solved:
        """Solves all rows side by side, with exactly `nfe(times, score)` calls.

        Args:
            denoise: the denoiser with its conditions bound.
            schedule: the denoiser's.
            x: the samples at times[:, 0], float32 on the denoiser's device.
            times: strictly decreasing, float64 on the CPU; a single one asks for x0 there alone.
            score: whether an x0 to score is wanted at a last time above 0.
            probe_sigma: the noise level whose prediction is kept in passing.

        Returns:
            x at times[:, -1], x0 there (= x at time 0), and what was kept.
        """
        ...


@dataclass(frozen=True)
class RungeKutta:
    """An explicit Runge-Kutta rule; a step mixes the increments x0 dalpha + eps dsigma of its evaluations."""

    nodes: ClassVar[tuple[float, ...]]  # where in the step each evaluation sits, as a fraction of it
    matrix: ClassVar[tuple[tuple[float, ...], ...]]  # how much of the earlier increments lead to each evaluation
    weights: ClassVar[tuple[float, ...]]  # how much of each increment makes the step

    def steps(self, nfe: int) -> int:
        """Steps that spend exactly `nfe` evaluations; a ValueError names the nearest that can be."""
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
        asks_x0 = steps == 0 or (score and times[..., -1].max().item() > 0)
        return steps * len(self.nodes) + asks_x0

    def advance(
        self,
        denoise: Denoise,
        schedule: Schedule,
        x: Tensor,
        times: Float[Tensor, "n times"],
        score: bool,
        probe_sigma: float | None = None,
    ) -> Solved:
        """As `Sampler.advance` says; no step waits for the device.

        Every row must end at 0 or every row above it. Without a score, x0 at a last time above 0 is the one that the
        last step began with, at no cost. `probe_sigma` keeps the prediction made at the noise level nearest to it.

        Raises:
            ValueError: where the rule does not keep its order on the schedule.
        """
        self._check(schedule)
        steps = times.shape[1] - 1
        path = self._path(schedule, times, x)
        nearest = _rows(_nearest_step(schedule, times, probe_sigma), x) if probe_sigma is not None else None
        kept = torch.zeros_like(x)
        x0, gaps = x, []
        for i in range(steps):
            x, first = self._step(denoise, x, path, i)
            x0 = first.x0
            gaps.append(first.gap)
            if nearest is not None:
                kept = torch.where(nearest == i, x0, kept)
        ends_clean = bool(times[0, -1] == 0)
        if steps == 0 or (score and not ends_clean):
            last = denoise(x, times[:, -1].to(x.device, torch.float32))
            x0 = last.x0
            gaps.append(last.gap)
        elif ends_clean:
            x0 = x
        known = [gap for gap in gaps if gap is not None]
        gap = torch.stack(known).sum(dim=0) if len(known) == len(gaps) else None
        return Solved(x, x0, None if probe_sigma is None else kept if steps else x0, gap)

    def _check(self, schedule: Schedule) -> None:
        """Euler and Heun keep their order on any smooth schedule."""

    def _path(self, schedule: Schedule, times: Tensor, x: Tensor) -> Path:
        """All that the steps take from the schedule, in float64 there, brought to the device once a solve."""
        t, s = times[:, :-1], times[:, 1:]
        changes = torch.stack((schedule.alpha(s) - schedule.alpha(t), schedule.sigma(s) - schedule.sigma(t)))
        points = torch.stack([torch.lerp(t, s, node) for node in self.nodes])
        dalpha, dsigma = changes.to(x.device, x.dtype).view(2, *t.shape, *[1] * (x.ndim - 1))
        return Path(dalpha, dsigma, points.to(x.device, torch.float32))

    def _step(self, denoise: Denoise, x: Tensor, path: Path, i: int) -> tuple[Tensor, Prediction]:
        dalpha, dsigma = path.dalpha[:, i], path.dsigma[:, i]
        predictions: list[Prediction] = []
        for point, row in zip(path.points[:, :, i], self.matrix, strict=True):
            moved = x + _mix(row, predictions, dalpha, dsigma) if row else x
            predictions.append(denoise(moved, point))
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
    x0 = _sum(weights, [prediction.x0 for prediction in predictions])
    eps = _sum(weights, [prediction.eps for prediction in predictions])
    return dalpha * x0 + dsigma * eps


def _sum(weights: tuple[float, ...], values: list[Tensor]) -> Tensor:
    first, *rest = (v if w == 1 else w * v for w, v in zip(weights, values, strict=True))
    return sum(rest, first)


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """One value a row, on the device of `like` and shaped to broadcast over it."""
    return values.to(like.device).view(-1, *[1] * (like.ndim - 1))


def _nearest_step(schedule: Schedule, times: Tensor, sigma: float | None) -> Tensor:
    """For each row the step that begins nearest to a noise level."""
    if sigma is None or times.shape[1] < 2:
        return torch.zeros(len(times), dtype=torch.long)
    return (schedule.sigma(times[:, :-1]) - sigma).abs().argmin(dim=1)
