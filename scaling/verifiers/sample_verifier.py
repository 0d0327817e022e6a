"""What verifiers share that judge a finished sample by itself, as most do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from scaling.protocols import Condition


class SampleVerifier(ABC):
    """A verifier without a noise level to look at; subclasses set `_identity` and say what a sample is worth."""

    differentiable: bool = False
    probe_sigma: float | None = None
    _identity: Mapping[str, Any]  # class, options and the hashes of all weights: what decides the scores

    def __call__(
        self,
        images: Float[Tensor, "n *sample"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n *sample"] | None = None,
    ) -> Float[Tensor, " n"]:
        """The scores of images in [0, 1], or of clean latents for a judge of these; there are no `probes` to see."""
        return self.rate(images, conditions)

    @abstractmethod
    def rate(self, images: Float[Tensor, "n *sample"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The scores, on any device; higher is better. A ValueError names a condition that it cannot judge."""

    def identity(self) -> dict[str, Any]:
        """All that decides the scores, as plain json."""
        return dict(self._identity)
