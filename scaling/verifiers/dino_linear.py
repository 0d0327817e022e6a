"""DINOv2 with the linear head that its authors trained on ImageNet (Oquab et al. 2304.07193)."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.contents import digest
from scaling.files import user_path
from scaling.loading.encoders import Dino
from scaling.loading.labels import class_labels
from scaling.protocols import Condition
from scaling.verifiers.sample_verifier import SampleVerifier

_URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_{size}14/dinov2_{size}14_linear4_head.pth"
_SIZES = {384: "vits", 768: "vitb", 1024: "vitl", 1536: "vitg"}


class DinoLinear(SampleVerifier):
    """Scores an image by the raw logit of its label: a linear layer on the class tokens of the last four layers and
    the mean patch token of the last, in this order.

    Args:
        encoder: a DINOv2.
        head: the authors' `dinov2_*14_linear4_head.pth` (or anything with its `weight` and `bias`). None: where
            torch.hub keeps it; it is never downloaded here.

    Raises:
        ValueError: shows how to download a missing file; or names one that is for another encoder.
    """

    differentiable = True

    def __init__(self, *, encoder: Dino, head: str | None = None) -> None:
        self.encoder = encoder
        width = encoder(torch.zeros(1, 3, 14, 14)).shape[1]
        file = _head_file(head, width)
        self.weight, self.bias = (tensor.to(encoder.device).float() for tensor in _read(file))
        if self.weight.ndim != 2 or self.weight.shape[1] != 5 * width:
            raise ValueError(f"{file} is for {tuple(self.weight.shape)[1:]} features: this DINOv2 has 5 x {width}")
        self._identity = {"class": "DinoLinear", "head": digest(file), **encoder.identity()}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """Logits of images in [0, 1], with a gradient; a ValueError names a condition without a class."""
        layers = self.encoder.layers(images, 4)
        features = torch.cat([tokens[:, 0] for tokens in layers] + [layers[-1][:, 1:].mean(dim=1)], dim=1)
        logits = features @ self.weight.T + self.bias
        labels = class_labels(conditions, len(self.bias)).to(logits.device)
        return logits.gather(1, labels[:, None]).squeeze(1)


def _head_file(head: str | None, width: int) -> Path:
    url = _URL.format(size=_SIZES.get(width, "vit?"))
    file = user_path(head or Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name)
    if not file.is_file():
        raise ValueError(f"no linear head at {file}: curl -L --create-dirs -o {file} {url}")
    return file


def _read(file: Path) -> tuple[Tensor, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        return state["weight"], state["bias"]
    except (RuntimeError, EOFError, OSError, KeyError, pickle.UnpicklingError) as error:
        raise ValueError(f"{file} holds no linear head ({type(error).__name__}): weight and bias are needed") from None
