"""The IS oracle: the network that the inception score is measured by, asked for the label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from scaling.loading.inception import Inception, inception_nodes
from scaling.loading.labels import class_labels
from scaling.protocols import Condition
from scaling.verifiers.sample_verifier import SampleVerifier


class InceptionProbability(SampleVerifier):
    """Scores an image by the probability in [0, 1] that InceptionV3 gives to its ImageNet label.

    Args:
        path: the weights of torch-fidelity's InceptionV3. None: where it keeps them.
        log_odds: whether to score by log p - log(1 - p), which picks the same winner and does not saturate at 1.
        device: auto, or torch's name of one.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(self, *, path: str | None = None, log_odds: bool = False, device: str = "auto") -> None:
        self.inception = Inception(path, device)
        self.nodes = inception_nodes()
        self.log_odds = log_odds
        self._identity = {"class": "InceptionProbability", "log_odds": log_odds, "weights": self.inception.weights}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """Probabilities or log-odds of images in [0, 1]; a ValueError names a condition without a class."""
        _, logits = self.inception(images)
        nodes = self.nodes[class_labels(conditions, len(self.nodes))].to(logits.device)[:, None]
        others = logits.scatter(1, nodes, -float("inf")).logsumexp(dim=1)
        log_odds = logits.gather(1, nodes).squeeze(1) - others
        return log_odds if self.log_odds else log_odds.sigmoid()
