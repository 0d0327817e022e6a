"""A tournament among a condition's candidates, by a judge that compares two images (SANA 1.5, 2501.18427, 3.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from scaling.notices import notice
from scaling.pixels import png
from scaling.protocols import Condition
from scaling.verifiers.prompted import prompts_of
from scaling.verifiers.questions import Judge, NoGrade, Question

_CHOICE = re.compile(r"\b(1|2|first|second)\b", re.IGNORECASE)
_NUMBER = {"1": 0, "first": 0, "2": 1, "second": 1}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"better": {"type": "integer", "enum": [1, 2]}},
    "required": ["better"],
    "additionalProperties": False,
}


class Pairwise:
    """Selects by single elimination: candidate 0 meets 1, 2 meets 3, ..., then winners meet; n - 1 meetings.

    Each meeting is asked in both orders. Where the answers contradict each other, or there is none, the earlier
    candidate goes on: no position is favored. The tournament of 2 n candidates contains that of n, so that a judge
    which keeps its answers is asked about each meeting once for all rungs.

    Args:
        judge: an `Endpoint` or a `LocalVLM` that takes two images.
        instruction: has `{prompt}`; the answer is a JSON object with `better`, 1 or 2.
        feature: the output of an extractor with the images, uint8 [n, 3, h, w].
        tokens: the most that a judge on this machine writes.

    Raises:
        ValueError: for an instruction without `{prompt}`.
    """

    def __init__(self, *, judge: Judge, instruction: str, feature: str = "pixels.images", tokens: int = 32) -> None:
        if "{prompt}" not in instruction:
            raise ValueError("verifier.instruction has no {prompt} where the prompt goes")
        self.judge, self.instruction, self.feature, self.tokens = judge, instruction, feature, tokens

    def select(
        self, features: Any, candidates: int | None = None, conditions: Sequence[Condition] = ()
    ) -> Int[Tensor, " c"]:
        """The winner of each condition among its first candidates.

        Args:
            features: images, uint8 [c, k, 3, h, w], an array or memory map.
            candidates: how many of k may win; None: all.
            conditions: c of them.

        Returns:
            int64 [c].
        """
        prompts = prompts_of(conditions)
        left = [list(range(features.shape[1] if candidates is None else candidates)) for _ in prompts]
        while max(map(len, left)) > 1:
            pairs = [
                (index, first, second)
                for index, own in enumerate(left)
                for first, second in zip(own[::2], own[1::2], strict=False)
            ]
            winners = dict(zip(pairs, self._meet(pairs, features, prompts), strict=True))
            left = [
                [
                    winners[index, own[place], own[place + 1]] if place + 1 < len(own) else own[place]
                    for place in range(0, len(own), 2)
                ]
                for index, own in enumerate(left)
            ]
        return torch.tensor([own[0] for own in left])

    def identity(self) -> dict[str, Any]:
        """Class, instruction and the judge."""
        return {"class": "Pairwise", "instruction": self.instruction, "reads": self.feature, **self.judge.identity()}

    def _meet(self, pairs: Sequence[tuple[int, int, int]], images: Any, prompts: Sequence[str]) -> list[int]:
        """The winner of each pair of candidates (condition, first, second)."""
        questions = []
        for index, first, second in pairs:
            one, two = (png(torch.from_numpy(np.array(images[index, each])) / 255) for each in (first, second))
            text = self.instruction.replace("{prompt}", prompts[index])
            questions += [Question(text, shown, SCHEMA, self.tokens) for shown in ((one, two), (two, one))]
        answers = self.judge.ask_all(questions, better)
        failed = [str(answer) for answer in answers if isinstance(answer, NoGrade)]
        notice("{n} comparisons got no answer: the earlier candidate went on", failed)
        won = []
        for number, (_, first, second) in enumerate(pairs):
            forward, back = (
                None if isinstance(answer, NoGrade) else better(answer)
                for answer in answers[2 * number : 2 * number + 2]
            )
            won.append(second if (forward, back) == (1, 0) else first)
        return won


def better(said: str) -> int:
    """Which of two images an answer prefers, 0 or 1: `better` of its JSON object, else the one that it names.

    Raises:
        ValueError: where it names none, or both.
    """
    try:
        value = json.loads(said[said.index("{") : said.rindex("}") + 1])["better"]
        return _NUMBER[str(value).lower()]
    except (ValueError, LookupError, TypeError):
        named = {_NUMBER[found.lower()] for found in _CHOICE.findall(said)}
        if len(named) != 1:
            raise ValueError(f"the judge's answer names no better image: {said[:200]!r}") from None
        return named.pop()
