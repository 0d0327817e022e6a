"""Climbing the score along its gradient at the initial noise: what first_order and reno share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun

Move = Callable[[Tensor, Tensor], Tensor]  # (noise, gradient of the score with respect to it) -> the next noise


def ascend(space: NoiseSpace, move: Move) -> SearchRun:
    """Solves a noise with its gradient, moves it, and so on until closed; it begins with draw 0.

    A row costs twice its solve in NFE, since the backward pass computes every call again; backwards are charged apart.
    A gradient that is not finite is a ValueError.
    """
    noise, parents = space.draw("candidate", 0), None
    scale = float(space.start(torch.ones(1)))  # d x / d noise
    while True:
        scored = yield Proposal(space.start(noise), space.times, gradient=True, parents=parents)
        if scored.gradient is None or not bool(scored.gradient.isfinite().all()):
            raise ValueError("the gradient of the score is missing or not finite; the verifier must be differentiable")
        noise, parents = move(noise, scale * scored.gradient), scored.ids


def row_norm(x: Float[Tensor, "n *latent"]) -> Tensor:
    """The norm of each row, shaped to broadcast over it."""
    return x.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))
