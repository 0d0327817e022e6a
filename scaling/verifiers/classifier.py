"""A classifier's logit of the label: the supervised verifier of the embedded models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from scaling.loading.networks import class_labels, load_network
from scaling.protocols import Condition


class Classifier:
    """Scores an image by the raw logit of its condition's label; unbounded, and not saturated as a probability is."""

    differentiable = True
    probe: float | None = None

    def __init__(self, *, path: str = "fashion_classifier", device: str = "auto") -> None:
        self.network, self._identity = load_network(path, "PlainCNN", device)

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        device = next(self.network.parameters()).device
        logits = self.network(images.to(device))
        labels = class_labels(conditions, logits.shape[1]).to(device)
        return logits.gather(1, labels[:, None]).squeeze(1)

    def identity(self) -> dict[str, Any]:
        """Class, architecture and the weights' hash."""
        return {"class": "Classifier", **self._identity}
