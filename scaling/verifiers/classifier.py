"""Classifiers of the embedded models as verifiers: a supervised one, and the evaluator itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling.loading.labels import class_labels
from scaling.loading.networks import load_network
from scaling.protocols import Condition
from scaling.verifiers.sample_verifier import SampleVerifier


class Classifier(SampleVerifier):
    """Scores an image by the raw logit of its condition's label; unbounded, and not saturated as a probability is.

    Args:
        path: a bundled name or a weights file of a `PlainCNN`.
        device: auto, or torch's name of one.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    differentiable = True
    kind: ClassVar[str] = "PlainCNN"

    def __init__(self, *, path: str = "fashion_classifier", device: str = "auto") -> None:
        self.network, identity = load_network(path, self.kind, device)
        self._identity = {"class": type(self).__name__, **identity}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The scores on the network's device; a ValueError names a condition without a label."""
        device = next(self.network.parameters()).device
        logits = self.logits(images.to(device))
        return self.score(logits, class_labels(conditions, logits.shape[1]).to(device)[:, None])

    def logits(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n classes"]:
        """The network's logits."""
        return self.network(images)

    def score(self, logits: Float[Tensor, "n classes"], labels: Int[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        """The logit of the label."""
        return logits.gather(1, labels).squeeze(1)


class Oracle(Classifier):
    """Scores by the evaluator's log-odds of the label, log p - log(1 - p), exact at any size.

    An upper bound of what search can do for the evaluator's accuracy (not for FID).

    Args:
        path: a bundled name or a weights file of a `ConvNeXt`.
        device: auto, or torch's name of one.
    """

    kind: ClassVar[str] = "ConvNeXt"

    def __init__(self, *, path: str = "fashion_evaluator", device: str = "auto") -> None:
        super().__init__(path=path, device=device)

    def logits(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n classes"]:
        """The network's logits, its features left aside."""
        return self.network(images)[1]

    def score(self, logits: Float[Tensor, "n classes"], labels: Int[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        """The log-odds of the label."""
        others = logits.scatter(1, labels, -torch.inf).logsumexp(dim=1)
        return super().score(logits, labels) - others
