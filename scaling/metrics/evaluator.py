"""The network by which sets of images are judged: features for FID, KID, precision and recall, logits for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.loading.networks import load_network
from scaling.protocols import Condition


class Evaluator:
    """Gives `features` [n,32] (before any activation) and `logits` [n,10]; no verifier but the oracle shares it."""

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(self, *, path: str = "fashion_evaluator", device: str = "auto") -> None:
        self.network, self._identity = load_network(path, "ConvNeXt", device)

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """`features` [n, d] and `logits` [n, classes] of images in [0, 1]."""
        features, logits = self.network(images.to(next(self.network.parameters()).device))
        return {"features": features, "logits": logits}

    def identity(self) -> dict[str, Any]:
        """Class, architecture and the weights' hash."""
        return {"class": "Evaluator", **self._identity}
