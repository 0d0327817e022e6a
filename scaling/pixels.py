"""Images in [0, 1] as the 8 bits a channel that files and some judges take, and as pictures of these."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def eight_bits(images: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Values of 0 to 255 on the images' device, rounded; what lies outside [0, 1] is clipped."""
    return (images.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)


def pil(image: Float[Tensor, "3 h w"], scale: int = 1) -> Any:
    """A PIL image of one in [0, 1], rounded to 8 bits and enlarged by whole pixels."""
    from PIL import Image

    pixels = eight_bits(image).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels.repeat(scale, 0).repeat(scale, 1))


def png(image: Float[Tensor, "3 h w"], scale: int = 1) -> bytes:
    """The same as the bytes of a PNG file."""
    out = BytesIO()
    pil(image, scale).save(out, format="PNG")
    return out.getvalue()


def opened(picture: bytes) -> Any:
    """A PNG file's bytes as a PIL image."""
    from PIL import Image

    return Image.open(BytesIO(picture)).convert("RGB")
