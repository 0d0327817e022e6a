"""Samples without search, in a plain loop of its own: what the reports hold the runner against."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from scaling.protocols import Condition, Denoiser


@torch.no_grad()
def sample(model: Denoiser, conditions: list[Condition], steps: int, seed: int = 0, batch: int = 250) -> Tensor:
    """Images [n, 3, h, w] of the conditions by Euler steps, in batches."""
    g, images = torch.Generator().manual_seed(seed), []
    for begin in range(0, len(conditions), batch):
        part = conditions[begin : begin + batch]
        encoded = model.encode(part)
        x, times = torch.randn(len(part), *model.latent_shape, generator=g), model.schedule.grid(steps).float()
        for t, s in pairwise(times):
            x0, eps, *_ = model(x, t.expand(len(part)), encoded)
            x = model.schedule.alpha(s) * x0 + model.schedule.sigma(s) * eps
        images.append(model.decode(x))
    return torch.cat(images)
