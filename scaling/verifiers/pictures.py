"""Images as files for judges that live elsewhere."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from jaxtyping import Float
from torch import Tensor

from scaling.pixels import eight_bits


def pil(image: Float[Tensor, "3 h w"]) -> Any:
    """A PIL image of one in [0, 1], rounded to 8 bits."""
    from PIL import Image

    pixels = eight_bits(image).permute(1, 2, 0)
    return Image.fromarray(pixels.cpu().numpy())


def png(image: Float[Tensor, "3 h w"]) -> bytes:
    """The same as the bytes of a PNG file."""
    out = BytesIO()
    pil(image).save(out, format="PNG")
    return out.getvalue()


def opened(picture: bytes) -> Any:
    """A PNG file's bytes as a PIL image."""
    from PIL import Image

    return Image.open(BytesIO(picture)).convert("RGB")
