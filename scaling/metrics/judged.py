"""A verifier as a judge of winners alone, and images as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from scaling.identity import identity_of
from scaling.pixels import eight_bits
from scaling.protocols import Condition, Verifier
from scaling.traits import refuse_latents


class Judged:
    """An extractor whose output `score` [n, 1] is a verifier's score of each winner.

    A costly judge is so asked of records only: of k candidates, those that lead at some rung.
    """

    def __init__(self, *, verifier: Verifier) -> None:
        if verifier.probe_sigma is not None:
            raise ValueError("this verifier wants to see an x0 prediction: a metric sees the samples alone")
        refuse_latents(verifier, "a metric sees images")
        self.verifier = verifier

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """The scores by the name "score"; `images` are in [0, 1]."""
        return {"score": self.verifier(images, conditions).reshape(-1, 1)}

    def identity(self) -> dict[str, Any]:
        """Class and the verifier."""
        return {"class": "Judged", "verifier": identity_of(self.verifier)}


class Pixels:
    """An extractor whose output `images` is the images themselves, rounded to 8 bits, for a selector that sees them."""

    def __call__(
        self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]
    ) -> dict[str, UInt8[Tensor, "n 3 h w"]]:
        """The images by the name "images", 0 to 255."""
        return {"images": eight_bits(images)}

    def identity(self) -> dict[str, Any]:
        """The class alone: nothing else decides."""
        return {"class": "Pixels"}
