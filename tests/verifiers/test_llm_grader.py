"""The grader against a local endpoint that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from judge_server import Server, judge_server

from scaling.notices import take_notices
from scaling.protocols import Condition
from scaling.verifiers.endpoint import Endpoint
from scaling.verifiers.llm_grader import Grades, LLMGrader

INSTRUCTION = "Grade this picture of: {prompt}"
ASPECTS = ("accuracy", "style")
PROMPTS = [f"thing number {i}" for i in range(6)]
CONDITIONS = [Condition(prompt=prompt) for prompt in PROMPTS]


@pytest.fixture
def server() -> Iterator[Server]:
    with judge_server() as server:
        yield server


def grader(server: Server, folder: Path, **options: Any) -> LLMGrader:
    settings = {"prices": (1.0, 4.0), "backoff": 0.01, "timeout": 0.7, "workers": 3, "max_tokens": 500} | options
    judge = Endpoint(url=server.url, model="tiny", store=str(folder / "answers.sqlite"), **settings)
    return LLMGrader(judge=judge, instruction=INSTRUCTION, aspects=ASPECTS)


def gray() -> torch.Tensor:
    return torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]).view(6, 1, 1, 1).expand(6, 3, 8, 8).clone()


def test_nothing_is_lost_and_nothing_is_scored_twice(server: Server, tmp_path: Path) -> None:
    server.plan = {
        PROMPTS[0]: ["malformed", "429", "answer"],
        PROMPTS[1]: ["500", "500"],
        PROMPTS[2]: ["hang"],
        PROMPTS[3]: ["high", "broken"],
        PROMPTS[4]: ["close", "429"],
    }
    verifier = grader(server, tmp_path)
    scores = verifier(gray(), CONDITIONS)
    torch.testing.assert_close(scores, torch.arange(0, 11, 2.0), atol=0.03, rtol=0)
    assert [server.served[prompt] for prompt in PROMPTS] == [1] * 6
    asked = dict(server.asked)
    assert asked == dict(zip(PROMPTS, [3, 3, 2, 3, 3, 1], strict=True))
    assert torch.equal(grader(server, tmp_path)(gray(), CONDITIONS), scores)  # another process, the same store
    assert dict(server.asked) == asked


def test_equal_pictures_of_a_prompt_are_asked_about_once(server: Server, tmp_path: Path) -> None:
    images = gray()[[1, 1, 2]]
    scores = grader(server, tmp_path)(images, [CONDITIONS[0]] * 3)
    assert scores[0] == scores[1] != scores[2]
    assert server.asked[PROMPTS[0]] == 2


def test_grades_of_winners_are_every_mark_of_one_answer(server: Server, tmp_path: Path) -> None:
    grades = Grades(grader=grader(server, tmp_path))
    marks = grades(gray(), CONDITIONS)
    assert {name: tuple(values.shape) for name, values in marks.items()} == dict.fromkeys((*ASPECTS, "overall"), (6, 1))
    torch.testing.assert_close(marks["overall"][:, 0], torch.arange(0, 101, 20.0), atol=0.3, rtol=0)
    assert sum(server.asked.values()) == 6
    other = LLMGrader(judge=grades.grader.judge, instruction=INSTRUCTION, aspects=ASPECTS, report="style")
    assert Grades(grader=other).identity() == grades.identity()


def test_what_was_answered_is_kept_when_one_fails(server: Server, tmp_path: Path) -> None:
    server.plan = {PROMPTS[2]: ["500"] * 3}
    with pytest.raises(ValueError, match=r"no answer in 3 tries .*HTTP 500.*answers\.sqlite"):
        grader(server, tmp_path, retries=2)(gray(), CONDITIONS)
    assert sum(server.served.values()) == 5
    scores = grader(server, tmp_path, retries=2)(gray(), CONDITIONS)
    assert torch.isfinite(scores).all()
    assert [server.served[prompt] for prompt in PROMPTS] == [1] * 6


def test_the_cap_holds(server: Server, tmp_path: Path) -> None:
    once = (1000 * 1.0 + 100 * 4.0) / 1e6  # what the server says that an answer used
    most = (1500 + len(INSTRUCTION.format(prompt=PROMPTS[0])) + 500 * 4.0) / 1e6
    cap = 3 * once + most * 0.99
    with pytest.raises(ValueError, match="raise the cap to go on"):
        grader(server, tmp_path, cap=cap, workers=1)(gray(), CONDITIONS)
    judge = grader(server, tmp_path, cap=cap).judge
    assert isinstance(judge, Endpoint)
    assert sum(server.asked.values()) == 3
    assert judge.store.spent() == pytest.approx(3 * once)
    scores = grader(server, tmp_path, cap=2 * cap)(gray(), CONDITIONS)  # goes on where it stopped
    assert torch.isfinite(scores).all()
    assert sum(server.asked.values()) == 6


def test_the_cap_holds_among_many_workers_and_hangs(server: Server, tmp_path: Path) -> None:
    server.plan = {prompt: ["hang"] * 9 for prompt in PROMPTS}
    with pytest.raises(ValueError, match="tries|cap"):
        grader(server, tmp_path, cap=0.02, workers=6, timeout=0.3)(gray(), CONDITIONS)
    judge = grader(server, tmp_path, cap=0.02).judge
    assert isinstance(judge, Endpoint)
    most = (1500 + len(INSTRUCTION.format(prompt=PROMPTS[0])) + 500 * 4.0) / 1e6
    assert judge.store.spent() <= 0.02
    assert sum(server.asked.values()) * most <= 0.02  # a hanging request counts as served


def test_the_request_is_structured_and_signed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADER_KEY", "secret")
    verifier = grader(server, tmp_path, key_env="GRADER_KEY")
    verifier(gray()[:1], CONDITIONS[:1])
    body = server.bodies[0]
    assert body["authorization"] == "Bearer secret"
    schema = body["response_format"]["json_schema"]
    assert schema["strict"]
    assert schema["schema"]["required"] == ["accuracy", "style", "overall"]
    assert "secret" not in json.dumps(verifier.identity())
    assert b"secret" not in (tmp_path / "answers.sqlite").read_bytes()


def test_a_refusal_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.plan = {PROMPTS[0]: ["401"]}
    with pytest.raises(ValueError, match="HTTP 401: no"):
        grader(server, tmp_path)(gray()[:1], CONDITIONS[:1])
    assert server.asked[PROMPTS[0]] == 1


FAILING = {PROMPTS[1]: ["refuse"], PROMPTS[2]: ["cut"], PROMPTS[3]: ["prose"] * 9, PROMPTS[4]: ["filter"]}


def test_an_image_without_a_grade_costs_no_other_its_grade(server: Server, tmp_path: Path) -> None:
    server.plan = {prompt: list(steps) for prompt, steps in FAILING.items()}
    with pytest.raises(ValueError, match=r"4 of 6 images got no grade \(the first: the judge refused: no people"):
        grader(server, tmp_path, retries=2)(gray(), CONDITIONS)
    assert [server.served[PROMPTS[i]] for i in (0, 5)] == [1, 1]
    asked = [server.asked[prompt] for prompt in PROMPTS]
    assert asked == [1, 1, 1, 3, 1, 1]  # what is refused or cut is not asked again, what cannot be read is


@pytest.mark.parametrize(("on_failure", "score"), [("skip", -1.0), (2.5, 2.5), ("0", 0.0)])
def test_images_without_a_grade_are_counted(
    server: Server, tmp_path: Path, on_failure: str | float, score: float
) -> None:
    take_notices()
    server.plan = {prompt: list(steps) for prompt, steps in FAILING.items()}
    verifier = grader(server, tmp_path, retries=1)
    lenient = LLMGrader(judge=verifier.judge, instruction=INSTRUCTION, aspects=ASPECTS, on_failure=on_failure)
    scores = lenient(gray(), CONDITIONS)
    torch.testing.assert_close(scores[[0, 5]], torch.tensor([0.0, 10.0]), atol=0.03, rtol=0)
    assert scores[1:5].tolist() == [score] * 4
    assert [line[:22] for line in take_notices()] == ["4 images got no grade "]
    assert lenient.identity() != verifier.identity()
    server.plan = {prompt: list(steps) for prompt, steps in FAILING.items()}
    marks = Grades(grader=lenient)(gray(), CONDITIONS)["style"]
    assert marks[:, 0].isnan().tolist() == [on_failure == "skip" and i in (1, 2, 3, 4) for i in range(6)]


def test_a_server_that_is_down_is_no_image_without_a_grade(server: Server, tmp_path: Path) -> None:
    server.plan = {PROMPTS[0]: ["500"] * 9}
    judge = grader(server, tmp_path, retries=1).judge
    lenient = LLMGrader(judge=judge, instruction=INSTRUCTION, aspects=ASPECTS, on_failure="skip")
    with pytest.raises(ValueError, match="HTTP 500"):
        lenient(gray(), CONDITIONS)


def test_wrong_options_are_said(server: Server, tmp_path: Path) -> None:
    judge = grader(server, tmp_path).judge
    with pytest.raises(ValueError, match="no {prompt}"):
        LLMGrader(judge=judge, instruction="Grade this", aspects=ASPECTS)
    with pytest.raises(ValueError, match="report='beauty' is none of accuracy, style, overall"):
        LLMGrader(judge=judge, instruction=INSTRUCTION, aspects=ASPECTS, report="beauty")
    with pytest.raises(ValueError, match="needs prices"):
        grader(server, tmp_path, cap=1.0, prices=(0.0, 0.0))
    with pytest.raises(ValueError, match="on_failure=never: error, skip or a score from 0 to 10"):
        LLMGrader(judge=judge, instruction=INSTRUCTION, aspects=ASPECTS, on_failure="never")
