"""VQAScore (Lin et al. 2404.01291): how sure a vision-language model is that the image shows the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.protocols import Condition
from scaling.verifiers.local_vlm import LocalVLM
from scaling.verifiers.pictures import pil
from scaling.verifiers.prompted import prompts_of


class VQAScore:
    """Scores P(answer) of the first token, as log-odds (`scale="log_odds"`, never saturated) or as `probability`.

    `question` has `{}` for the prompt.
    """

    differentiable = False
    probe: float | None = None

    def __init__(
        self,
        *,
        vlm: LocalVLM,
        question: str = 'Does this figure show "{}"? Please answer yes or no.',
        answer: str = "Yes",
        scale: Literal["log_odds", "probability"] = "log_odds",
    ) -> None:
        if "{}" not in question:
            raise ValueError(f"verifier.question={question!r} has no {{}} for the prompt")
        if scale not in ("log_odds", "probability"):
            raise ValueError(f"verifier.scale={scale!r} is neither 'log_odds' nor 'probability'")
        self.vlm, self.question, self.answer, self.scale = vlm, question, answer, scale
        self._token = vlm.token(answer)

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        rows = zip(images, prompts_of(conditions), strict=True)
        logits = torch.stack(
            [self.vlm.logits([pil(image)], self.question.replace("{}", prompt)) for image, prompt in rows]
        )
        chosen = logits[:, self._token]
        if self.scale == "probability":
            return (chosen - logits.logsumexp(dim=1)).exp()
        return chosen - logits.index_fill(1, torch.tensor([self._token], device=logits.device), -torch.inf).logsumexp(1)

    def identity(self) -> dict[str, Any]:
        """Class, question, answer, scale and the model."""
        asked = {"question": self.question, "answer": self.answer, "scale": self.scale}
        return {"class": "VQAScore", **asked, **self.vlm.identity()}
