"""DINOv2 features, for FID on a network that knows more than ImageNet's classes (Stein et al. 2306.04675)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.checkpoints import state_digest
from scaling.loading.devices import pick_device
from scaling.protocols import Condition

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as DINOv2 was trained


class DinoFeatures:
    """Gives `features` [n, d], the normalized class token: 384 for small, 768 base, 1024 large, 1536 giant.

    `path` is a local folder in transformers' format or a hub id; the hub is asked only when the id is not in the cache,
    and HF_HUB_OFFLINE is respected. Images in [0, 1] are resized to `size` (bicubic, antialiased, as EDM2 does).
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(self, *, path: str = "facebook/dinov2-large", size: int = 224, device: str = "auto") -> None:
        from transformers import Dinov2Model

        try:
            network: torch.nn.Module = Dinov2Model.from_pretrained(path, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"no DINOv2 weights at {path}: hf download {path} ({str(error).splitlines()[0]})"
            ) from None
        self.device = pick_device(device)
        self.size = size
        self.network = network.to(self.device).eval().requires_grad_(False)
        self._digest = state_digest(self.network.state_dict())

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """`features`: the class token [n, d] of images in [0, 1]."""
        pixels = images.to(self.device).float().clamp(0, 1)
        pixels = F.interpolate(pixels, (self.size, self.size), mode="bicubic", antialias=True)
        mean, deviation = (pixels.new_tensor(v).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
        return {"features": self.network((pixels - mean) / deviation).last_hidden_state[:, 0]}

    def identity(self) -> dict[str, Any]:
        """Class, size and the weights' hash."""
        return {"class": "DinoFeatures", "size": self.size, "weights": self._digest}
