"""Noises as directions: how far two are apart, and noises at a chosen distance."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def cosine(a: Float[Tensor, "n *latent"], b: Float[Tensor, "#n *latent"]) -> Float[Tensor, " n"]:
    """The cosine between paired rows, in float64; `b` may be one row for all."""
    return torch.nn.functional.cosine_similarity(a.flatten(1).double(), b.flatten(1).double(), dim=1, eps=0.0)


def neighbors(
    pivot: Float[Tensor, "1 *latent"], draws: Float[Tensor, "n *latent"], cosine: float
) -> Float[Tensor, "n *latent"]:
    """Noises of the pivot's norm at exactly this cosine to it, in the directions of the draws.

    y = |x| (c u + sqrt(1 - c^2) w), with u = x / |x| and w the draw's unit part orthogonal to u (the authors' formula
    for zero-order search, Ma et al. 2501.09732).
    """
    x, g = pivot.flatten(1).double(), draws.flatten(1).double()
    norm = x.norm(dim=1, keepdim=True)
    u = x / norm
    w = g - (g * u).sum(dim=1, keepdim=True) * u
    w = w / w.norm(dim=1, keepdim=True)
    return (norm * (cosine * u + math.sqrt(1 - cosine**2) * w)).to(pivot.dtype).view_as(draws)


def to_typical_norm(noise: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
    """Each row scaled to the norm that a Gaussian of its size has, sqrt(d)."""
    flat = noise.flatten(1).double()
    return (flat * (math.sqrt(flat.shape[1]) / flat.norm(dim=1, keepdim=True))).to(noise.dtype).view_as(noise)
