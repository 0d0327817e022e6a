"""The judge of the shapes world that reads: how sure a small question answerer is of everything that a prompt says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.devices import pick_device
from scaling.loading.weights_file import Weights, load_weights
from scaling.protocols import Condition
from scaling.shapes.grammar import parse
from scaling.shapes.questions import ask
from scaling.shapes.reader import Reader
from scaling.verifiers.sample_verifier import SampleVerifier

_KIND = "ShapesReader"


class ShapesReader(SampleVerifier):
    """Asks a prompt's questions (each phrase, the relation, "is that all, and whole?") and scores the sum of the log
    probabilities of yes, as question-answering scores of the field do (TIFA 2303.11897, DSG 2310.18235).

    Args:
        path: a bundled name (shapes_reader, or shapes_reader_1 and _2, which were trained for less) or a file.
        device: torch's name, or `auto`.

    Raises:
        ValueError: names a file of another kind, or a prompt that is not of the shapes' grammar.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    differentiable = True

    def __init__(self, *, path: str = "shapes_reader", device: str = "auto") -> None:
        self.device = pick_device(device)
        self.network, weights = load_reader(path, _KIND, self.device)
        self._identity = {"class": _KIND, "weights": weights.sha256}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """Log probabilities, at most 0, of images in [0, 1], with a gradient."""
        return log_probabilities(self.network, images.to(self.device).float(), conditions)


def load_reader(path: str, kind: str, device: torch.device) -> tuple[Reader, Weights]:
    """A frozen reader from a bundled name or a file, and what that holds; a ValueError names one of another kind."""
    weights = load_weights(path, kind)
    with torch.random.fork_rng(devices=[]):
        network = Reader(**weights.metadata["architecture"])
    network.load_state_dict(weights.state)
    return network.to(device).eval().requires_grad_(False), weights


def log_probabilities(
    network: Reader, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]
) -> Float[Tensor, " n"]:
    """The log probability, at most 0, that the answer to all questions of a prompt is yes; with a gradient."""
    words, mask = ask([parse(condition.prompt or "") for condition in conditions])
    yes = F.logsigmoid(network(images, words.to(images.device)))
    return (yes * mask.to(images.device)).sum(dim=1)
