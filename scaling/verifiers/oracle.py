"""The evaluator itself as a verifier: an upper bound of what search can do for its accuracy (not for FID)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.loading.networks import class_labels, load_network
from scaling.protocols import Condition


class Oracle:
    """Scores an image by the evaluator's log-odds of its condition's label, log p - log(1 - p), exact at any size."""

    differentiable = True
    probe: float | None = None

    def __init__(self, *, path: str = "fashion_evaluator", device: str = "auto") -> None:
        self.network, self._identity = load_network(path, "ConvNeXt", device)

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        device = next(self.network.parameters()).device
        _, logits = self.network(images.to(device))
        labels = class_labels(conditions, logits.shape[1]).to(device)[:, None]
        others = logits.scatter(1, labels, -torch.inf).logsumexp(dim=1)
        return logits.gather(1, labels).squeeze(1) - others

    def identity(self) -> dict[str, Any]:
        """Class, architecture and the weights' hash."""
        return {"class": "Oracle", **self._identity}
