"""UnifiedReward: the authors' files, the scores in an answer, and a judge that writes what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from scaling.notices import take_notices
from scaling.protocols import Condition
from scaling.verifiers.questions import Check, NoGrade, Question
from scaling.verifiers.unified_reward import UnifiedReward

FINAL = (
    "open('never run')\nmessage = [{'text': f'Assign a score after \\'Final Score:\\'.\\nText Caption: [{prompt}]'}]\n"
)
AXES = (
    'problem = ("Alignment Score (1-5): X\\n"\n "Coherence Score (1-5): Y\\n"\n "Style Score (1-5): Z\\n"\n'
    ' f"Text Caption: [{prompt}]")\nother = f"{path}.png"\n'
)
CONDITIONS = [Condition(prompt="a red cat"), Condition(prompt="a dog")]


class Writes:
    """Answers each question with the next of some texts."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = answers, []

    def ask_all(self, questions: Sequence[Question], check: Check) -> list[str | NoGrade]:
        self.asked += questions
        said: list[str | NoGrade] = []
        for answer in self.answers[: len(questions)]:
            try:
                check(answer)
                said.append(answer)
            except ValueError as error:
                said.append(NoGrade(str(error)))
        return said

    def identity(self) -> dict[str, str]:
        return {"judge": "writes"}


def written(folder: Path, text: str = FINAL) -> str:
    file = folder / "point_score.py"
    file.write_text(text)
    return str(file)


def test_the_final_score_behind_the_elements(tmp_path: Path) -> None:
    judge = Writes("cat (animal): 1\nred (color): 0\nFinal Score: 2.75", "dog (animal): 1\n**Final Score:** 5")
    verifier = UnifiedReward(judge=judge, question=written(tmp_path))
    assert verifier(torch.zeros(2, 3, 8, 8), CONDITIONS).tolist() == [2.75, 5.0]
    assert [question.text for question in judge.asked] == [
        "Assign a score after 'Final Score:'.\nText Caption: [a red cat]",
        "Assign a score after 'Final Score:'.\nText Caption: [a dog]",
    ]
    assert {question.tokens for question in judge.asked} == {512}


def test_the_mean_of_three_axes(tmp_path: Path) -> None:
    said = "Alignment Score (1-5): 2.5\nCoherence Score (1-5): 1.75\nStyle Score (1-5): 4.0"
    names = ["Alignment Score", "Coherence Score", "Style Score"]
    verifier = UnifiedReward(judge=Writes(said), question=written(tmp_path, AXES), scores=names)
    assert verifier(torch.zeros(1, 3, 8, 8), CONDITIONS[:1]).tolist() == [2.75]


def test_an_answer_without_a_score_costs_its_image_or_ends_the_run(tmp_path: Path) -> None:
    for useless in ("I cannot say.", "Final Score: 7", "Final Score: none"):
        judge, question = Writes(useless, "Final Score: 3"), written(tmp_path)
        with pytest.raises(ValueError, match=r"1 of 2 images got no score .*no Final Score from 1 to 5"):
            UnifiedReward(judge=judge, question=question)(torch.zeros(2, 3, 8, 8), CONDITIONS)
        skipping = UnifiedReward(judge=judge, question=question, on_failure="skip")
        assert skipping(torch.zeros(2, 3, 8, 8), CONDITIONS).tolist() == [0.0, 3.0]


def test_two_images_that_fail_in_the_same_words_are_two(tmp_path: Path) -> None:
    skipping = UnifiedReward(judge=Writes("no.", "no."), question=written(tmp_path), on_failure="skip")
    assert skipping(torch.zeros(2, 3, 8, 8), CONDITIONS).tolist() == [0.0, 0.0]
    assert take_notices() == ["2 images got no score and were skipped (verifier.on_failure)"]


def test_questions_that_are_not_the_authors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.py is no file: curl -LO https://\S*/qwen_point_score"):
        UnifiedReward(judge=Writes(), question=str(tmp_path / "nowhere.py"))
    with pytest.raises(ValueError, match=r"scores=Style Score: \S*point_score\.py asks for no such score"):
        UnifiedReward(judge=Writes(), question=written(tmp_path), scores=["Style Score"])
    with pytest.raises(ValueError, match="scores is empty"):
        UnifiedReward(judge=Writes(), question=written(tmp_path), scores=[])
    with pytest.raises(ValueError, match="has 0 f-strings about a prompt"):
        UnifiedReward(judge=Writes(), question=written(tmp_path, "text = f'{caption}'\n"))
    with pytest.raises(ValueError, match=r"cannot read the Python file \S*point_score\.py"):
        UnifiedReward(judge=Writes(), question=written(tmp_path, "text = (\n"))


def test_the_identity_holds_the_question_and_the_judge(tmp_path: Path) -> None:
    plain = UnifiedReward(judge=Writes(), question=written(tmp_path)).identity()
    other = UnifiedReward(judge=Writes(), question=written(tmp_path, FINAL.replace("Assign", "Give"))).identity()
    assert {name for name in plain if plain[name] != other[name]} == {"question"}
    assert plain["judge"] == "writes"
