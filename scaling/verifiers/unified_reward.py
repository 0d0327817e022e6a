"""UnifiedReward (Wang et al. 2503.05236): a vision-language model that was tuned to write down scores from 1 to 5."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.files import user_path
from scaling.pixels import png
from scaling.protocols import Condition
from scaling.verifiers.authors_text import SLOT, f_string
from scaling.verifiers.prompted import prompts_of
from scaling.verifiers.questions import Judge, NoGrade, Question, checked_failure, count_failures
from scaling.verifiers.sample_verifier import SampleVerifier

AUTHORS = "https://raw.githubusercontent.com/CodeGoat24/UnifiedReward/main/inference_qwen"
FILE = "image_generation/qwen_point_score_image_generation.py"
LEAST, MOST = 1.0, 5.0
BELOW = 0.0  # an image that was skipped: below every score


class UnifiedReward(SampleVerifier):
    """Scores the mean of the scores that the model writes, from 1 to 5, read out of its greedy answer as in the paper.

    Args:
        judge: a `LocalVLM`, or an `Endpoint` that serves the model.
        question: the authors' Python file for point scores, with the text that the checkpoint was trained with; it is
            not run.
        scores: the names of the scores that are wanted, as the question has them.
        max_tokens: the most that a judge on this machine writes.
        on_failure: what an answer without a score means: error, or skip (the image never wins; the end says how many).

    Raises:
        ValueError: where an option has no meaning, or the file is not the authors'.
    """

    def __init__(
        self,
        *,
        judge: Judge,
        question: str = "qwen_point_score_image_generation.py",
        scores: Sequence[str] = ("Final Score",),
        max_tokens: int = 512,
        on_failure: str = "error",
    ) -> None:
        self.judge, self.scores, self.max_tokens = judge, tuple(scores), max_tokens
        self.on_failure = checked_failure(on_failure)
        self.question = read_question(user_path(question), self.scores)

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The scores, float32 on the images' device; `images` are in [0, 1].

        Raises:
            ValueError: where a condition has no prompt, and for an answer without a score that is not to be skipped.
        """
        questions = [
            Question(self.question.replace(SLOT, prompt), (png(image),), tokens=self.max_tokens)
            for image, prompt in zip(images, prompts_of(conditions), strict=True)
        ]
        answers = self.judge.ask_all(questions, self._read)
        count_failures(questions, answers, self.on_failure, "images got no score", "were skipped")
        found = [BELOW if isinstance(answer, NoGrade) else self._read(answer) for answer in answers]
        return torch.tensor(found, dtype=torch.float32, device=images.device)

    def identity(self) -> dict[str, Any]:
        """Class, question, scores, length, the judge, and what an answer without a score means."""
        asked = {"question": self.question, "scores": list(self.scores), "max_tokens": self.max_tokens}
        failure = {} if self.on_failure == "error" else {"on_failure": self.on_failure}
        return {"class": "UnifiedReward", **asked, **self.judge.identity(), **failure}

    def _read(self, answer: str) -> float:
        return math.fsum(score(answer, name) for name in self.scores) / len(self.scores)


def score(answer: str, name: str) -> float:
    """The number behind the last `name` in an answer, as in "Style Score (1-5): 2.8".

    Raises:
        ValueError: where there is none from 1 to 5.
    """
    found = re.findall(rf"{re.escape(name)}[^\w(]*(?:\(1-5\))?+[^\w-]*(-?\d+(?:\.\d+)?)", answer)
    if not found or not LEAST <= float(found[-1]) <= MOST:
        raise ValueError(f"the answer has no {name} from 1 to 5: {answer[-200:]!r}")
    return float(found[-1])


def read_question(file: Path, scores: Sequence[str]) -> str:
    """The authors' text, with `{prompt}` in it; a ValueError where it does not ask for one of the scores."""
    if not file.is_file():
        raise ValueError(f"verifier.question={file} is no file: curl -LO {AUTHORS}/{FILE}, or another of theirs")
    text = f_string(file)
    if not scores:
        raise ValueError("verifier.scores is empty: a score that the question asks for is needed")
    for name in scores:
        if name not in text:
            raise ValueError(f"verifier.scores={name}: {file} asks for no such score")
    return text
