"""Small studies on the Gaussian mixture for the runner's tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.protocols import Condition, Encoded, Prediction
from scaling.runner.study import Study
from scaling.search.random import Random


class Toward:
    """Prefers images near one gray; counts its calls."""

    differentiable = True
    probe_sigma: float | None = None

    def __init__(self, gray: float = 0.7, probe_sigma: float | None = None) -> None:
        self.gray, self.probe_sigma, self.rows = gray, probe_sigma, 0

    def __call__(self, images: Tensor, conditions: Sequence[Condition], probes: Tensor | None = None) -> Tensor:
        self.rows += len(images)
        score = -(images.flatten(1) - self.gray).square().sum(1)
        return score if probes is None else score - (probes - images).flatten(1).square().sum(1)

    def identity(self) -> Mapping[str, Any]:
        return {"class": "Toward", "gray": self.gray, "probe": self.probe_sigma}


class Told:
    """The mixture, which does something of a test whenever a batch of it begins."""

    execution_only = frozenset({"at_batch"})

    def __init__(self, at_batch: Callable[[], None]) -> None:
        self._inner, self._at_batch = mixture(), at_batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, x: Tensor, t: Tensor, encoded: Encoded) -> Prediction:
        return self._inner(x, t, encoded)

    def begin_solve(self) -> None:
        self._at_batch()


class Pixels:
    """The images themselves as features, and two logits."""

    def __call__(self, images: Tensor, conditions: Sequence[Condition]) -> Mapping[str, Tensor]:
        flat = images[:, 0].flatten(1)
        return {"features": flat, "logits": torch.stack([flat.sum(1), 1 - flat.sum(1)], 1)}

    def identity(self) -> Mapping[str, Any]:
        return {"class": "Pixels"}


def mixture(**options: Any) -> GaussianMixture:
    return GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2), **options)


def study(output_dir: Path, **changes: Any) -> Study:
    """Twenty conditions, a ladder of 1, 2, 4, 8; any part can be changed."""
    parts: dict[str, Any] = {
        "denoiser": mixture(),
        "conditions": ClassLabels(count=20, classes=2),
        "verifier": Toward(),
        "search": Random(),
        "budget": Budget(nfes_per_iter=4, candidates=[1, 2, 4, 8]),
        "extractors": {"pixels": Pixels()},
        "output_dir": output_dir,
        "batch_size": 16,
        "block_size": 8,
        "samples": 2,
        "progress": False,
    }
    return Study(**{**parts, **changes})
