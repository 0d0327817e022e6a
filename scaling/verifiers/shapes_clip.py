"""CLIP score of the shapes world: how well an image fits its prompt, by the small CLIP that ships with the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.encoders import OpenClip
from scaling.protocols import Condition
from scaling.shapes.grammar import parse
from scaling.verifiers.prompted import PerPrompt
from scaling.verifiers.sample_verifier import SampleVerifier

SCALE = 2.5  # of CLIPScore (Hessel et al. 2104.08718); not cut at 0, so that bad images have an order too


class ShapesClip(SampleVerifier):
    """Scores 2.5 times the cosine of image and prompt; a ValueError names a prompt that is not of the shapes' grammar.

    A prompt is encoded once.

    Args:
        path: a bundled name, or a folder in open_clip's format.
        device: auto, or torch's name of one.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    differentiable = True

    def __init__(self, *, path: str = "shapes_clip", device: str = "auto") -> None:
        self.encoder = OpenClip(path=path, device=device)
        self._texts = PerPrompt(self._embed)
        self._identity = {"class": "ShapesClip", **self.encoder.identity()}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """Scores in [-2.5, 2.5] of images in [0, 1], with a gradient."""
        return SCALE * F.cosine_similarity(self.encoder(images), self._texts(conditions), dim=1)

    def _embed(self, prompts: list[str]) -> Float[Tensor, "n d"]:
        for prompt in prompts:
            parse(prompt)
        return self.encoder.texts(prompts)
