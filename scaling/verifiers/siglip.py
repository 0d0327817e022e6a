"""SigLIP (Zhai et al. 2303.15343): the logit that image and prompt belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.checkpoints import check_finite
from scaling.loading.encoders import OpenClip
from scaling.protocols import Condition
from scaling.verifiers.prompted import PerPrompt


class SigLip:
    """Scores exp(logit_scale) cos + logit_bias: log-odds, which order where their sigmoid has saturated."""

    differentiable = True
    probe: float | None = None

    def __init__(self, *, encoder: OpenClip) -> None:
        if getattr(encoder.network, "logit_bias", None) is None:
            raise ValueError(f"{encoder.folder} has no logit_bias: a SigLIP in open_clip's format is needed")
        check_finite(encoder.network, encoder.folder)
        self.encoder = encoder
        self._texts = PerPrompt(lambda prompts: F.normalize(encoder.texts(prompts), dim=1))

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        cosine = (F.normalize(self.encoder(images), dim=1) * self._texts(conditions)).sum(dim=1)
        network = self.encoder.network
        return network.logit_scale.float().exp() * cosine + network.logit_bias.float()

    def identity(self) -> dict[str, Any]:
        """Class and the encoder with the hash of its weights."""
        return {"class": "SigLip", **self.encoder.identity()}
