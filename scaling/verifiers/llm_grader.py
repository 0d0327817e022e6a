"""A vision-language model as a grader: marks from 0 to 10 for several aspects and an overall one, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.protocols import Condition
from scaling.verifiers.endpoint import Endpoint
from scaling.verifiers.local_vlm import LocalVLM
from scaling.verifiers.pictures import png
from scaling.verifiers.prompted import prompts_of

MOST = 10.0


class LLMGrader:
    """Scores the mark `report`, in [0, 10], that `judge` gives: an `Endpoint`, or a `LocalVLM`.

    `instruction` has `{prompt}` where the prompt goes; the answer is a JSON object with a number for each of `aspects`
    and for "overall".
    """

    differentiable = False
    probe: float | None = None

    def __init__(
        self,
        *,
        judge: Endpoint | LocalVLM,
        instruction: str,
        aspects: Sequence[str],
        report: str = "overall",
        max_tokens: int = 500,
    ) -> None:
        self.marks = (*aspects, "overall")
        if "{prompt}" not in instruction:
            raise ValueError("verifier.instruction has no {prompt} where the prompt goes")
        if report not in self.marks:
            raise ValueError(f"verifier.report={report!r} is none of {', '.join(self.marks)}")
        self.judge, self.instruction, self.report, self.max_tokens = judge, instruction, report, max_tokens

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        marks = [each[self.report] for each in self.grade(images, conditions)]
        return torch.tensor(marks, dtype=torch.float32, device=images.device)

    def grade(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> list[dict[str, float]]:
        """All marks of each image.

        Equal images of equal prompts are asked about once. Where one fails the others still finish and are kept.
        """
        asked = [self.instruction.replace("{prompt}", prompt) for prompt in prompts_of(conditions)]
        answer = self._endpoint(self.judge) if isinstance(self.judge, Endpoint) else self._local(self.judge)
        keys = list(zip([png(image) for image in images], asked, strict=True))
        first = {key: number for number, key in reversed(list(enumerate(keys)))}
        workers = self.judge.workers if isinstance(self.judge, Endpoint) else 1
        with ThreadPoolExecutor(workers) as pool:
            futures = {key: pool.submit(answer, images[number], *key) for key, number in first.items()}
        marks = {key: parse(future.result(), self.marks) for key, future in futures.items()}
        return [marks[key] for key in keys]

    def identity(self) -> dict[str, Any]:
        """Class, instruction, marks and the judge."""
        asked = {"instruction": self.instruction, "marks": list(self.marks), "report": self.report}
        return {"class": "LLMGrader", **asked, **self.judge.identity()}

    def _endpoint(self, judge: Endpoint) -> Callable[[Tensor, bytes, str], str]:
        mark = {"type": "number", "minimum": 0, "maximum": MOST}
        schema = {
            "type": "object",
            "properties": dict.fromkeys(self.marks, mark),
            "required": list(self.marks),
            "additionalProperties": False,
        }
        return lambda image, picture, text: judge.ask(picture, text, schema, lambda said: parse(said, self.marks))

    def _local(self, judge: LocalVLM) -> Callable[[Tensor, bytes, str], str]:
        return lambda image, picture, text: judge.generate(image, text, self.max_tokens)


class Grades:
    """A grader of winners alone, for metrics: every mark [n,1], from 0 to 100 as Ma et al. print them, by its name."""

    def __init__(self, *, grader: LLMGrader) -> None:
        self.grader = grader

    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        marks = self.grader.grade(images, conditions)
        return {name: torch.tensor([[100 / MOST * each[name]] for each in marks]) for name in self.grader.marks}

    def identity(self) -> dict[str, Any]:
        """Class and the grader, whichever mark it reports."""
        kept = {name: value for name, value in self.grader.identity().items() if name != "report"}
        return {**kept, "class": "Grades"}


def parse(content: str, marks: Sequence[str]) -> dict[str, float]:
    """The marks in an answer's JSON object, prose or a fence around it left aside; a ValueError says what lacks."""
    begin, end = content.find("{"), content.rfind("}")
    try:
        answer = json.loads(content[begin : end + 1])
    except json.JSONDecodeError:
        raise ValueError(f"the grader's answer is no JSON: {content[:200]!r}") from None
    if not isinstance(answer, dict):
        raise ValueError(f"the grader's answer is no JSON object: {content[:200]!r}")
    for mark in marks:
        value = answer.get(mark)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
            raise ValueError(f"the grader's {mark} is {value!r}: a number from 0 to 10 is needed")
    return {mark: float(answer[mark]) for mark in marks}
