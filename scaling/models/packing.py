"""Latents as tokens of 2x2 patches, as FLUX and Qwen-Image take them, on a path that bends with their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.models.library_schedules import FlowMatch
from scaling.models.text_to_image import TextToImage
from scaling.protocols import Schedule


def pack(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n (h*w)//4 4*c"]:
    """Row by row; within a token the channel is outermost, then the row, then the column."""
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(n, h * w // 4, 4 * c)


def unpack(tokens: Float[Tensor, "n tokens c"], height: int, width: int) -> Float[Tensor, "n c//4 {height} {width}"]:
    """The inverse of `pack`, for latents of that height and width."""
    n, _, c = tokens.shape
    patches = tokens.view(n, height // 2, width // 2, c // 4, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(n, c // 4, height, width)


def positions(height: int, width: int, device: torch.device) -> Float[Tensor, "{height}*{width} 3"]:
    """(0, row, column) of each token of a grid."""
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )  # fmt: skip
    return torch.stack((torch.zeros_like(rows), rows, columns), dim=-1).view(-1, 3).float()


@dataclass(kw_only=True, eq=False)
class PackedFlow(TextToImage):
    """A family whose network takes such tokens."""

    multiple = 2

    @override
    def channels(self) -> int:
        return int(self.config["in_channels"]) // 4

    @override
    def noise_schedule(self, config: Mapping[str, Any]) -> Schedule:
        _, height, width = self.latent_shape
        return FlowMatch.from_scheduler(config, height * width // 4, given=True)
