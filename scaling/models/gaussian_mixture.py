"""A mixture of Gaussians as a model: its denoiser in closed form, for tests and for trying a method in milliseconds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.protocols import Condition, Encoded, Prediction, Schedule
from scaling.schedules import Flow


class GaussianMixture:
    """Predicts x0 and eps as their exact posterior means under components N(means[j], std^2 I) of given weights.

    A class label restricts the mixture to the components that carry it in `labels` (default: component j carries j);
    a condition without one, a prompt for instance, means all of them. Latents have `latent_shape` (default: (d,)).
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    forwards_per_call = 1
    guidance_scale = 1.0

    def __init__(
        self,
        means: Sequence[Sequence[float]],
        std: float,
        weights: Sequence[float] | None = None,
        labels: Sequence[int] | None = None,
        latent_shape: Sequence[int] | None = None,
        schedule: Schedule | None = None,
        device: str = "cpu",
    ) -> None:
        count, size = len(means), len(means[0])
        self.latent_shape = (size,) if latent_shape is None else tuple(latent_shape)
        self.labels = tuple(range(count) if labels is None else labels)
        shares = tuple([1 / count] * count if weights is None else weights)
        _check(count, size, std, shares, self.labels, self.latent_shape)
        self.schedule: Schedule = schedule or Flow()
        self.device = torch.device(device)
        self.std = float(std)
        self.means: Float[Tensor, "k d"] = torch.tensor(means, dtype=torch.float32, device=self.device)
        self._reach = float(torch.tensor(means, dtype=torch.float32).abs().max()) + 3 * self.std  # of black and white
        self.weights: Float[Tensor, " k"] = torch.tensor(shares, device=self.device) / sum(shares)

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        """The log weights of the components, one row a condition; a ValueError where no component has the label."""
        rows = [self._log_weights(condition.class_label) for condition in conditions]
        return {"log_weights": torch.stack(rows)}

    def __call__(self, x: Float[Tensor, "n *latent"], t: Float[Tensor, " n"], encoded: Encoded) -> Prediction:
        """The exact posterior means of x0 and eps at the times t, in the dtype of x."""
        flat = x.flatten(1)
        alpha = self.schedule.alpha(t).to(x.dtype).view(-1, 1)
        sigma = self.schedule.sigma(t).to(x.dtype).view(-1, 1)
        variance = (alpha * self.std) ** 2 + sigma**2
        away = flat[:, None] - alpha[:, :, None] * self.means  # n k d
        logits = encoded["log_weights"] - away.square().sum(-1) / (2 * variance)
        share = logits.softmax(dim=1)[:, :, None]
        residual = (share * away).sum(1) / variance
        x0 = (share * self.means).sum(1) + alpha * self.std**2 * residual
        return Prediction(x0.view_as(x), (sigma * residual).view_as(x))

    def decode(self, x0: Float[Tensor, "n *latent"]) -> Float[Tensor, "n 3 h w"]:
        """Gray 0.5 is latent 0, and black and white lie three stds beyond the outermost mean; linear, clamped.

        Latents of three axes are channels, height, width; fewer axes fill the last ones. Channel c of the image is
        latent channel c, counted around where there are fewer than three.
        """
        shape = (1,) * (3 - len(self.latent_shape)) + self.latent_shape
        channels = [c % shape[0] for c in range(3)]
        return (0.5 + x0.view(-1, *shape)[:, channels] / (2 * self._reach)).clamp(0, 1)

    def gflops(self) -> float:
        """8 operations for each entry of each component's mean."""
        return 8 * self.means.numel() / 1e9

    def identity(self) -> Mapping[str, Any]:
        """All that decides the answers, as plain json."""
        schedule = asdict(self.schedule) if is_dataclass(self.schedule) else repr(self.schedule)
        return {
            "class": "GaussianMixture",
            "means": self.means.tolist(),
            "std": self.std,
            "weights": self.weights.tolist(),
            "labels": list(self.labels),
            "latent_shape": list(self.latent_shape),
            "schedule": {type(self.schedule).__name__: schedule},
        }

    def _log_weights(self, label: int | None) -> Float[Tensor, " k"]:
        if label is None:
            return self.weights.log()
        if label not in self.labels:
            nearest = min(self.labels, key=lambda known: abs(known - label))
            raise ValueError(f"no component has class_label={label}; the nearest label is {nearest}")
        carries = torch.tensor([known == label for known in self.labels], device=self.device)
        return self.weights.where(carries, torch.zeros(())).log()


def _check(
    count: int, size: int, std: float, weights: Sequence[float], labels: Sequence[int], shape: tuple[int, ...]
) -> None:
    if not std > 0:
        raise ValueError(f"std={std} must be greater than 0")
    if len(weights) != count or not all(w > 0 for w in weights):
        raise ValueError(f"weights={list(weights)} must be {count} numbers greater than 0, one a component")
    if len(labels) != count:
        raise ValueError(f"labels={list(labels)} must be {count} class labels, one a component")
    if math.prod(shape) != size or len(shape) > 3:
        raise ValueError(f"latent_shape={shape} must hold the {size} entries of a mean in at most three axes")
