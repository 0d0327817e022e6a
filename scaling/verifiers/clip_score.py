"""CLIPScore (Hessel et al. 2104.08718): the cosine of image and prompt, clipped at 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.checkpoints import check_finite
from scaling.loading.encoders import OpenClip
from scaling.protocols import Condition
from scaling.verifiers.prompted import PerPrompt

Scale = Literal["paper", "torchmetrics", "cosine"]
_FACTORS = {"paper": 2.5, "torchmetrics": 100.0}


class ClipScore:
    """Scores 2.5 max(cos, 0) with `scale="paper"` (in [0, 2.5]), 100 max(cos, 0) with `torchmetrics`, or the cosine.

    `prefix` goes before each prompt: "A photo depicts " is the paper's, torchmetrics has none.
    """

    differentiable = True
    probe: float | None = None

    def __init__(self, *, encoder: OpenClip, scale: Scale = "paper", prefix: str = "A photo depicts ") -> None:
        if scale not in get_args(Scale):
            raise ValueError(f"verifier.scale={scale!r} is none of {', '.join(get_args(Scale))}")
        check_finite(encoder.network, encoder.folder)
        self.encoder, self.scale, self.prefix = encoder, scale, prefix
        self._texts = PerPrompt(lambda prompts: F.normalize(encoder.texts([prefix + p for p in prompts]), dim=1))

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        cosine = (F.normalize(self.encoder(images), dim=1) * self._texts(conditions)).sum(dim=1)
        return cosine if self.scale == "cosine" else _FACTORS[self.scale] * cosine.clamp(min=0)

    def identity(self) -> dict[str, Any]:
        """Class, scale, prefix and the encoder with the hash of its weights."""
        return {"class": "ClipScore", "scale": self.scale, "prefix": self.prefix, **self.encoder.identity()}
