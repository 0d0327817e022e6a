"""An aesthetic score of the shapes world: a small head on CLIP's image embedding that learned a stated preference."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.loading.encoders import OpenClip
from scaling.loading.weights_file import load_weights, weights_path
from scaling.protocols import Condition
from scaling.verifiers.sample_verifier import SampleVerifier

_KIND = "ShapesAesthetic"


def head(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with GELU between them, from the embedding to one number."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.GELU()]
    return nn.Sequential(*layers[:-1])


class ShapesAesthetic(SampleVerifier):
    """Predicts `scaling.shapes.preference` (0 to 10: harmony of colors and centering) and never reads the prompt.

    Args:
        path: the head, a bundled name or a weights file.
        clip: the CLIP that the head was trained on, a bundled name or a folder.
        device: auto, or torch's name of one.

    Raises:
        ValueError: for a file of another kind, or a CLIP that it does not belong to.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    differentiable = True

    def __init__(self, *, path: str = "shapes_aesthetic", clip: str = "shapes_clip", device: str = "auto") -> None:
        weights = load_weights(path, _KIND)
        self.encoder = OpenClip(path=clip, device=device)
        if (own := weights.metadata["clip"]) != self.encoder.weights:
            raise ValueError(f"{weights_path(path)} belongs to the CLIP {own[:12]}, not to {self.encoder.weights[:12]}")
        with torch.random.fork_rng(devices=[]):
            self.head = head(weights.metadata["widths"])
        self.head.load_state_dict(weights.state)
        self.head.to(self.encoder.device).eval().requires_grad_(False)
        self._identity = {"class": _KIND, "head": weights.sha256, **self.encoder.identity()}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """Ratings of images in [0, 1], with a gradient; conditions play no part."""
        return self.head(F.normalize(self.encoder(images), dim=1)).squeeze(1)
