"""The standard features of FID, KID and IS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from scaling.loading.inception import Inception
from scaling.protocols import Condition


class InceptionFeatures:
    """Gives `features` [n, 2048] and `logits` [n, 1008] of the network that `scaling.loading.inception` describes."""

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(self, *, path: str | None = None, device: str = "auto") -> None:
        self.inception = Inception(path, device)

    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """`features` [n, 2048] and `logits` [n, 1008] of images in [0, 1]."""
        features, logits = self.inception(images)
        return {"features": features, "logits": logits}

    def identity(self) -> dict[str, Any]:
        """Class and the weights' hash."""
        return {"class": "InceptionFeatures", "weights": self.inception.weights}
