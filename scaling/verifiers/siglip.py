"""SigLIP (Zhai et al. 2303.15343): the logit that image and prompt belong together."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.checkpoints import check_finite
from scaling.loading.encoders import OpenClip
from scaling.verifiers.prompted import PerPrompt, PromptCosine, TokenLimit


class SigLip(PromptCosine):
    """Scores exp(logit_scale) cos + logit_bias: log-odds, which order where their sigmoid has saturated.

    Args:
        encoder: a SigLIP in open_clip's format; one without a bias is a ValueError.
    """

    def __init__(self, *, encoder: OpenClip) -> None:
        if getattr(encoder.network, "logit_bias", None) is None:
            raise ValueError(f"{encoder.folder} has no logit_bias: a SigLIP in open_clip's format is needed")
        check_finite(encoder.network, encoder.folder)
        self.encoder = encoder
        texts = PerPrompt(
            lambda prompts: F.normalize(encoder.texts(prompts), dim=1),
            TokenLimit("SigLIP", encoder.longest, encoder.tokens),
        )
        super().__init__(texts, encoder.identity())

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """The images' embeddings."""
        return self.encoder(images)

    def scaled(self, cosine: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The logit."""
        network = self.encoder.network
        return network.logit_scale.float().exp() * cosine + network.logit_bias.float()
