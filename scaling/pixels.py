"""Images in [0, 1] as the 8 bits a channel that files and some judges take."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def eight_bits(images: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Values of 0 to 255 on the images' device, rounded; what lies outside [0, 1] is clipped."""
    return (images.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
