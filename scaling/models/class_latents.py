"""What SiT and DiT share: a class-conditional `DiTTransformer2DModel` over the latents of a VAE, with guidance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.loading.labels import class_labels
from scaling.models.dit import guided, network_gflops, predict
from scaling.models.vae import VAE
from scaling.protocols import Condition, Encoded, Prediction, Schedule


class ClassLatents(ABC):
    """A denoiser but for how its network is asked; subclasses set these fields and `_forward`."""

    predicts: ClassVar[str]  # velocity | eps

    schedule: Schedule
    vae: VAE
    device: torch.device
    guidance_scale: float
    _architecture: dict[str, Any]
    _guided_channels: int | None
    _identity: dict[str, Any]

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        """The labels, one row a condition; a ValueError names a condition that has none."""
        return {"class_label": class_labels(conditions, self._classes).to(self.device)}

    def __call__(self, x: Float[Tensor, "n c h w"], t: Float[Tensor, " n"], encoded: Encoded) -> Prediction:
        """x0 and eps at the times t, in float32; gradients flow to x where it asks for them."""
        x, t, labels = x.float(), t.to(x.device), encoded["class_label"]
        out = guided(self._forward, x, t, labels, self._classes, self.guidance_scale, self._guided_channels)
        return predict(out, x, t, self.schedule, self.predicts)

    def decode(self, x0: Float[Tensor, "n *latent"]) -> Float[Tensor, "n 3 h w"]:
        """Images in [0, 1]."""
        return self.vae.decode(x0)

    def gflops(self) -> float:
        """GFLOPs of one network forward of one row (2 per multiply-add)."""
        return network_gflops(self._architecture)

    def identity(self) -> dict[str, Any]:
        """All that decides the answers, as plain json."""
        return self._identity | {"vae": self.vae.identity()}

    @property
    def _classes(self) -> int:
        """The number of classes, which is also the null class."""
        return int(self._architecture["num_embeds_ada_norm"])

    @abstractmethod
    def _forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """What the network predicts, in float32 and this project's time, from one pass."""
