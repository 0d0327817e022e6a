"""The LAION aesthetic predictor on CLIP ViT-L/14, the second version, linear MSE head: 0 to 10, no prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.contents import digest
from scaling.loading.checkpoints import check_finite, read_state
from scaling.loading.encoders import OpenClip
from scaling.loading.hub import find_file
from scaling.protocols import Condition
from scaling.verifiers.linear_head import load_head
from scaling.verifiers.sample_verifier import SampleVerifier


class Aesthetic(SampleVerifier):
    """Scores an image by the head on its normalized embedding.

    Args:
        encoder: a CLIP, of 768 features for the published head (OpenAI's ViT-L/14).
        head: a file with LAION's keys (layers.0, 2, 4, 6, 7), local or `owner/name/file` on the hub.

    Raises:
        ValueError: where there is no such file, or its width is not the encoder's.
    """

    differentiable = True

    def __init__(
        self,
        *,
        encoder: OpenClip,
        head: str = "camenduru/improved-aesthetic-predictor/sac+logos+ava1-l14-linearMSE.pth",
    ) -> None:
        check_finite(encoder.network, encoder.folder)
        self.encoder = encoder
        file = find_file(head)
        with torch.no_grad():
            width = encoder(torch.zeros(1, 3, encoder.preprocess.crop, encoder.preprocess.crop)).shape[1]
        self.head = load_head(read_state(file), width, file).to(encoder.device)
        self._identity = {"class": "Aesthetic", "head": digest(file), **encoder.identity()}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The predicted ratings, about 1 to 10; prompts play no part."""
        return self.head(F.normalize(self.encoder(images), dim=1))
