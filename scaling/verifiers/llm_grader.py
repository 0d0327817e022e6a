"""A vision-language model as a grader: marks from 0 to 10 for several aspects and an overall one, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.notices import notice
from scaling.pixels import png
from scaling.protocols import Condition
from scaling.verifiers.answers import MOST, parse
from scaling.verifiers.prompted import prompts_of
from scaling.verifiers.questions import Judge, NoGrade, Question
from scaling.verifiers.sample_verifier import SampleVerifier

BELOW = -1.0  # an image without a grade, where those are skipped: below every mark


class LLMGrader(SampleVerifier):
    """Scores the mark `report`, in [0, 10], that a judge gives.

    Args:
        judge: an `Endpoint` or a `LocalVLM`.
        instruction: has `{prompt}` where the prompt goes; the answer is a JSON object with a number for each of
            `aspects` and for "overall".
        report: the mark that is the score: "overall" or an aspect.
        max_tokens: the most that a judge on this machine writes.
        on_failure: what an image without a grade (a refusal, an answer that is cut or cannot be read) means: "error"
            ends the run, after all others have theirs; "skip" gives it -1, so that no graded image loses to it, and
            leaves it out of a metric's mean; a number from 0 to 10 is its score. The run's end says how many.

    Raises:
        ValueError: where an option has no meaning.
    """

    def __init__(
        self,
        *,
        judge: Judge,
        instruction: str,
        aspects: Sequence[str],
        report: str = "overall",
        max_tokens: int = 500,
        on_failure: str | float = "error",
    ) -> None:
        self.marks = (*aspects, "overall")
        if "{prompt}" not in instruction:
            raise ValueError("verifier.instruction has no {prompt} where the prompt goes")
        checks.one_of(self.marks, **{"verifier.report": report})
        self.judge, self.instruction, self.report, self.max_tokens = judge, instruction, report, max_tokens
        self.on_failure = checked_failure(on_failure)

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The mark of each image, float32 on the images' device; `images` are in [0, 1]."""
        missing = self.missing(BELOW)
        marks = [missing if each is None else each[self.report] for each in self.grade(images, conditions)]
        return torch.tensor(marks, dtype=torch.float32, device=images.device)

    def grade(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> list[dict[str, float] | None]:
        """All marks of each image, None for one without; equal images of equal prompts are asked about once.

        Raises:
            ValueError: where the judge cannot be asked, and for an image without a grade if `on_failure` is "error".
        """
        asked = [self.instruction.replace("{prompt}", prompt) for prompt in prompts_of(conditions)]
        keys = list(zip(asked, map(png, images), strict=True))
        once = list(dict.fromkeys(keys))
        questions = [Question(text, (picture,), self._schema(), self.max_tokens) for text, picture in once]
        answers = dict(zip(once, self.judge.ask_all(questions, lambda said: parse(said, self.marks)), strict=True))
        failed = {key: answer for key, answer in answers.items() if isinstance(answer, NoGrade)}
        if failed and self.on_failure == "error":
            raise ValueError(
                f"{len(failed)} of {len(once)} images got no grade (the first: {next(iter(failed.values()))}); the "
                "others' are kept; verifier.on_failure=skip, or =0 (a score), goes on without"
            )
        meaning = "were skipped" if self.on_failure == "skip" else f"were given {self.on_failure}"
        notice(f"{{n}} images got no grade and {meaning} (verifier.on_failure)", failed)
        return [None if isinstance(said := answers[key], NoGrade) else parse(said, self.marks) for key in keys]

    def identity(self) -> dict[str, Any]:
        """Class, instruction, marks, the judge, and what an image without a grade means."""
        asked = {"instruction": self.instruction, "marks": list(self.marks), "report": self.report}
        failure = {} if self.on_failure == "error" else {"on_failure": self.on_failure}
        return {"class": "LLMGrader", **asked, **self.judge.identity(), **failure}

    def missing(self, skipped: float) -> float:
        """The mark of an image without one; `skipped` where those are skipped."""
        return self.on_failure if isinstance(self.on_failure, float) else skipped

    def _schema(self) -> dict[str, Any]:
        mark = {"type": "number", "minimum": 0, "maximum": MOST}
        return {
            "type": "object",
            "properties": dict.fromkeys(self.marks, mark),
            "required": list(self.marks),
            "additionalProperties": False,
        }


class Grades:
    """A grader of winners alone, for metrics: every mark [n,1], from 0 to 100 as Ma et al. print them, by its name.

    An image without a grade has NaN, which a mean leaves out, or the score that `on_failure` says.
    """

    def __init__(self, *, grader: LLMGrader) -> None:
        self.grader = grader

    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """Each mark [n, 1], float32 on the CPU; `images` are in [0, 1]."""
        marks = self.grader.grade(images, conditions)
        missing = self.grader.missing(float("nan"))

        def column(name: str) -> Tensor:
            return torch.tensor([[100 / MOST * (missing if each is None else each[name])] for each in marks])

        return {name: column(name) for name in self.grader.marks}

    def identity(self) -> dict[str, Any]:
        """Class and the grader, whichever mark it reports."""
        kept = {name: value for name, value in self.grader.identity().items() if name != "report"}
        return {**kept, "class": "Grades"}


def checked_failure(on_failure: str | float) -> str | float:
    """ "error", "skip" or a score from 0 to 10, as a float; a ValueError for anything else."""
    if on_failure in ("error", "skip"):
        return on_failure
    try:
        score = float(on_failure)
    except (TypeError, ValueError):
        score = -1.0
    if isinstance(on_failure, bool) or not 0 <= score <= MOST:
        raise ValueError(f"verifier.on_failure={on_failure}: error, skip or a score from 0 to 10 is needed")
    return score
