"""The head of the LAION aesthetic predictor, which ImageReward shares: five linear layers, no activation between."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scaling.loading.checkpoints import fit

WIDTHS = (1024, 128, 64, 16, 1)
PLACES = (0, 2, 4, 6, 7)  # the dropouts of training lie between; before the last layer there is none


class LinearHead(nn.Module):
    """`layers.{0,2,4,6,7}` from `width` features to one number."""

    def __init__(self, width: int) -> None:
        super().__init__()
        pairs = zip(PLACES, pairwise((width, *WIDTHS)), strict=True)
        self.layers = nn.ModuleDict({str(place): nn.Linear(*ends) for place, ends in pairs})

    def forward(self, features: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """One number a row."""
        for layer in self.layers.values():
            features = layer(features)
        return features.squeeze(1)


def load_head(state: Mapping[str, Tensor], width: int, file: Path) -> LinearHead:
    """The head with its weights, frozen, float32; a ValueError names the file where it does not fit the width."""
    with torch.random.fork_rng(devices=[]):
        head = LinearHead(width)
    fit(head, state, file)
    return head.eval().requires_grad_(False)
