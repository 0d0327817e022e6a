"""CLIPScore (Hessel et al. 2104.08718): the cosine of image and prompt, clipped at 0."""

from __future__ import annotations

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling import checks
from scaling.loading.checkpoints import check_finite
from scaling.loading.encoders import OpenClip
from scaling.verifiers.prompted import PerPrompt, PromptCosine, TokenLimit

Scale = Literal["paper", "torchmetrics", "cosine"]
_FACTORS = {"paper": 2.5, "torchmetrics": 100.0}


class ClipScore(PromptCosine):
    """Scores 2.5 max(cos, 0), in [0, 2.5].

    Args:
        encoder: a CLIP.
        scale: "paper", or "torchmetrics" for 100 max(cos, 0), or "cosine".
        prefix: goes before each prompt: "A photo depicts " is the paper's, torchmetrics has none.

    Raises:
        ValueError: for another scale.
    """

    def __init__(self, *, encoder: OpenClip, scale: Scale = "paper", prefix: str = "A photo depicts ") -> None:
        checks.one_of(get_args(Scale), **{"verifier.scale": scale})
        check_finite(encoder.network, encoder.folder)
        self.encoder, self.scale = encoder, scale
        texts = PerPrompt(
            lambda prompts: F.normalize(encoder.texts([prefix + p for p in prompts]), dim=1),
            TokenLimit("CLIPScore", encoder.longest, lambda prompt: encoder.tokens(prefix + prompt)),
        )
        super().__init__(texts, {"scale": scale, "prefix": prefix, **encoder.identity()})

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """The images' embeddings."""
        return self.encoder(images)

    def scaled(self, cosine: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The cosine in the scale that was asked for."""
        return cosine if self.scale == "cosine" else _FACTORS[self.scale] * cosine.clamp(min=0)
