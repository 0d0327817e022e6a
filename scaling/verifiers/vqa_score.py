"""VQAScore (Lin et al. 2404.01291): how sure a vision-language model is that the image shows the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.pixels import png
from scaling.protocols import Condition
from scaling.verifiers.first_token import Asked, chances
from scaling.verifiers.local_vlm import LocalVLM
from scaling.verifiers.prompted import prompts_of
from scaling.verifiers.questions import Judge, checked_failure
from scaling.verifiers.sample_verifier import SampleVerifier

BELOW = {"log_odds": -1000.0, "probability": -1.0}  # an image that was skipped: below every answer


class VQAScore(SampleVerifier):
    """Scores P(answer) of the first token.

    Args:
        vlm: a `LocalVLM`, or an `Endpoint` that gives log-probabilities.
        question: has `{}` for the prompt.
        answer: the word whose first token counts.
        scale: log_odds, which never saturates, or probability.
        on_failure: what an endpoint's refusal means: error, or skip (the image never wins; the end says how many).

    Raises:
        ValueError: where an option has no meaning, or the model does not know the answer.
    """

    def __init__(
        self,
        *,
        vlm: Judge,
        question: str = 'Does this figure show "{}"? Please answer yes or no.',
        answer: str = "Yes",
        scale: Literal["log_odds", "probability"] = "log_odds",
        on_failure: str = "error",
    ) -> None:
        if "{}" not in question:
            raise ValueError(f"verifier.question={question!r} has no {{}} for the prompt")
        checks.one_of(tuple(BELOW), **{"verifier.scale": scale})
        self.vlm, self.question, self.answer, self.scale = vlm, question, answer, scale
        self.on_failure = checked_failure(on_failure)
        if isinstance(vlm, LocalVLM):
            vlm.tokens([answer])

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The scores, float32 on the images' device; `images` are in [0, 1]."""
        asked = [
            Asked(self.question.replace("{}", prompt), png(image), (self.answer,))
            for image, prompt in zip(images, prompts_of(conditions), strict=True)
        ]
        found = chances(self.vlm, asked, self.on_failure)
        scores = [BELOW[self.scale] if each is None else getattr(each, self.scale) for each in found]
        return torch.tensor(scores, dtype=torch.float32, device=images.device)

    def identity(self) -> dict[str, Any]:
        """Class, question, answer, scale, the model, and what a refusal means."""
        asked = {"question": self.question, "answer": self.answer, "scale": self.scale}
        failure = {} if self.on_failure == "error" else {"on_failure": self.on_failure}
        return {"class": "VQAScore", **asked, **self.vlm.identity(), **failure}
