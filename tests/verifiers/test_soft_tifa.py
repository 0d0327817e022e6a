"""Soft-TIFA by an endpoint's log-probabilities and by a known judge: means, number words, files that are wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from scaling.protocols import Condition
from scaling.verifiers.questions import Check, NoGrade, Question
from scaling.verifiers.soft_tifa import SoftTifa, words

ATOMS = [["How many cats are there?", "two"], ["Is there a red cat?", "Yes"]]
ANSWERS = {
    "How many cats are there? Answer in one word.": {"two": 0.3, "2": 0.2, " Two": 0.1, "three": 0.2},
    "Is there a red cat? Answer in one word.": {"Yes": 0.5, " yes": 0.25, "No": 0.2},
}


class Listed:
    """Answers with the log-probabilities of `ANSWERS`, or refuses what is asked about a cat's color."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses

    def ask_all(self, questions: Sequence[Question], check: Check) -> list[str | NoGrade]:
        assert all(question.logprobs > 1 for question in questions)
        if self.refuses:
            return [NoGrade("no") if "red" in question.text else self.said(question) for question in questions]
        return [self.said(question) for question in questions]

    def said(self, question: Question) -> str:
        return json.dumps({word: math.log(p) for word, p in ANSWERS[question.text].items()})

    def identity(self) -> dict[str, str]:
        return {"judge": "listed"}


@pytest.fixture
def questions(tmp_path: Path) -> str:
    file = tmp_path / "atoms.jsonl"
    file.write_text(json.dumps({"prompt": "two red cats", "vqa_list": ATOMS}) + "\n")
    return str(file)


@pytest.mark.parametrize(("mean", "score"), [("geometric", math.sqrt(0.6 * 0.75)), ("arithmetic", (0.6 + 0.75) / 2)])
def test_the_mean_over_a_prompts_questions(questions: str, mean: str, score: float) -> None:
    judge = SoftTifa(vlm=Listed(), questions=questions, mean=mean)
    scores = judge(torch.zeros(2, 3, 8, 8), [Condition(prompt="two red cats")] * 2)
    torch.testing.assert_close(scores, torch.tensor([score, score]))


def test_a_refusal_costs_its_image_or_ends_the_run_as_is_said(questions: str) -> None:
    images, prompts = torch.zeros(1, 3, 8, 8), [Condition(prompt="two red cats")]
    with pytest.raises(ValueError, match=r"1 of 2 questions got no answer .*on_failure=skip"):
        SoftTifa(vlm=Listed(refuses=True), questions=questions)(images, prompts)
    skipping = SoftTifa(vlm=Listed(refuses=True), questions=questions, on_failure="skip")
    assert skipping(images, prompts).tolist() == [-1.0]


def test_a_number_counts_as_word_and_digit() -> None:
    assert set(words("How many cats?", "2")) == set(words("How many cats?", "two"))
    assert {"two", "Two", "2", " two", " Two", " 2"} == set(words("How many cats?", "two"))
    assert set(words("Is it red?", "Yes")) == {"Yes", "yes", " Yes", " yes"}


def test_files_and_prompts_that_are_wrong_are_named(questions: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no questions for the prompt 'a dog'"):
        SoftTifa(vlm=Listed(), questions=questions)(torch.zeros(1, 3, 8, 8), [Condition(prompt="a dog")])
    with pytest.raises(ValueError, match=r"nothing\.jsonl is no file"):
        SoftTifa(vlm=Listed(), questions=str(tmp_path / "nothing.jsonl"))
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n')
    with pytest.raises(ValueError, match=r"bad\.jsonl, line 1: prompt and vqa_list"):
        SoftTifa(vlm=Listed(), questions=str(tmp_path / "bad.jsonl"))


def test_edited_questions_are_another_judge(questions: str) -> None:
    before = SoftTifa(vlm=Listed(), questions=questions).identity()
    Path(questions).write_text(json.dumps({"prompt": "two red cats", "vqa_list": ATOMS[:1]}) + "\n")
    assert SoftTifa(vlm=Listed(), questions=questions).identity() != before
