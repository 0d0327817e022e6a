"""The judge of the shapes world that looks at latents: how sure it is, early in a solve, of how the sample will end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from scaling.loading.devices import pick_device
from scaling.protocols import Condition
from scaling.verifiers.sample_verifier import SampleVerifier
from scaling.verifiers.shapes_reader import load_reader, log_probabilities

_KIND = "ShapesLatents"


class ShapesLatents(SampleVerifier):
    """Asks a prompt's questions of clean latents or of an x0 prediction, and scores the sum of the log probabilities of
    yes. It was trained on predictions along whole solves with the exact judge's answers on how they ended, so that a
    score in the middle of a solve is a forecast. Nothing is decoded for it.

    Args:
        path: a bundled name or a file of this kind.
        device: torch's name, or `auto`.

    Raises:
        ValueError: names a file of another kind, or a prompt that is not of the shapes' grammar.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    differentiable = True

    def __init__(self, *, path: str = "shapes_latents", device: str = "auto") -> None:
        self.device = pick_device(device)
        self.network, weights = load_reader(path, _KIND, self.device)
        self.latent_shape: tuple[int, ...] = tuple(weights.metadata["latent_shape"])
        self._identity = {"class": _KIND, "weights": weights.sha256}

    def rate(self, images: Float[Tensor, "n *latent"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """Log probabilities, at most 0, of the latents in the images' place, with a gradient."""
        return log_probabilities(self.network, images.to(self.device).float() / 2 + 0.5, conditions)
