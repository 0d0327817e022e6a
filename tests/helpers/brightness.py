"""A judge for any images."""

from __future__ import annotations

from typing import Any

import torch


class Brightness:
    """A score that falls with the distance to a gray, and has a gradient."""

    differentiable, probe_sigma = True, None

    def __call__(self, images: torch.Tensor, conditions: Any, probes: Any = None) -> torch.Tensor:
        return -(images.flatten(1) - 0.6).square().mean(1)

    def identity(self) -> dict[str, Any]:
        return {"class": "Brightness"}
