"""A tournament by a judge that compares two images: who wins, how often it is asked, no position favored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from scaling.pixels import opened
from scaling.protocols import Condition
from scaling.verifiers.pairwise import Pairwise, better
from scaling.verifiers.questions import Check, NoGrade, Question

INSTRUCTION = "{prompt}: which is brighter?"


class Brightness:
    """Prefers the brighter image, or always the first, or refuses."""

    def __init__(self, mood: str = "fair") -> None:
        self.mood, self.asked = mood, 0

    def ask_all(self, questions: Sequence[Question], check: Check) -> list[str | NoGrade]:
        self.asked += len(questions)
        if self.mood == "refuses":
            return [NoGrade("no") for _ in questions]
        levels = [[np.asarray(opened(picture)).mean() for picture in question.pictures] for question in questions]
        firsts = [self.mood == "first" or one > two for one, two in levels]
        answers = ['{"better": 1}' if first else "The second one." for first in firsts]
        for answer in answers:
            check(answer)
        return list(answers)

    def identity(self) -> dict[str, str]:
        return {"judge": self.mood}


def pictures(levels: Sequence[Sequence[int]]) -> np.ndarray:
    """Even pictures of some brightness, uint8 [c, k, 3, 4, 4]."""
    return np.broadcast_to(np.array(levels, np.uint8)[:, :, None, None, None], (*np.shape(levels), 3, 4, 4))


CONDITIONS = [Condition(prompt="a"), Condition(prompt="b")]
LEVELS = [[3, 9, 4, 200, 7], [250, 1, 2, 3, 4]]


@pytest.mark.parametrize(("candidates", "winners"), [(1, [0, 0]), (2, [1, 0]), (3, [1, 0]), (4, [3, 0]), (5, [3, 0])])
def test_the_best_of_the_first_candidates_wins_in_n_minus_1_meetings(candidates: int, winners: list[int]) -> None:
    judge = Brightness()
    chosen = Pairwise(judge=judge, instruction=INSTRUCTION).select(pictures(LEVELS), candidates, CONDITIONS)
    assert chosen.tolist() == winners
    assert judge.asked == 2 * 2 * (candidates - 1)


def test_a_judge_that_prefers_a_position_or_refuses_moves_nothing() -> None:
    for mood in ("first", "refuses"):
        judge = Brightness(mood)
        assert Pairwise(judge=judge, instruction=INSTRUCTION).select(pictures(LEVELS), None, CONDITIONS).tolist() == [
            0,
            0,
        ]


def test_answers_as_people_read_them() -> None:
    assert better('{"better": 2}') == 1
    assert better('I think {"better": "first"} fits.') == 0
    assert better("**2**") == 1
    for unclear in ("both are good", "1 is sharper, 2 is brighter", ""):
        with pytest.raises(ValueError, match="names no better image"):
            better(unclear)


def test_an_instruction_without_its_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="no {prompt}"):
        Pairwise(judge=Brightness(), instruction="which?")
