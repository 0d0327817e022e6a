"""The grader against a local endpoint that misbehaves."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch

from scaling.protocols import Condition
from scaling.verifiers.endpoint import Endpoint
from scaling.verifiers.llm_grader import Grades, LLMGrader, parse

INSTRUCTION = "Grade this picture of: {prompt}"
ASPECTS = ("accuracy", "style")
PROMPTS = [f"thing number {i}" for i in range(6)]
CONDITIONS = [Condition(prompt=prompt) for prompt in PROMPTS]


class Server(ThreadingHTTPServer):
    """Grades a picture by its brightness, after doing what `plan` says for each prompt in turn."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: dict[str, list[str]] = {}
        self.asked: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        """Silence."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text, image = (part for part in body["messages"][0]["content"])
        prompt = text["text"].removeprefix("Grade this picture of: ")
        with self.server.lock:
            self.server.asked[prompt] += 1
            self.server.bodies.append(body | {"authorization": self.headers.get("Authorization")})
            steps = self.server.plan.get(prompt, [])
            act = steps.pop(0) if steps else "answer"
        if act in ("429", "500", "401"):
            self.send_response(int(act))
            if act == "429":
                self.send_header("Retry-After", "0.05")
            self.end_headers()
            self.wfile.write(b"no")
            return
        if act == "hang":
            time.sleep(3)
            return
        if act == "close":
            self.connection.close()
            return
        mark = brightness(image["image_url"]["url"])
        content = json.dumps({"accuracy": 1, "style": 2.5, "overall": mark})
        content = {"malformed": content[:-5], "high": '{"accuracy": 1, "style": 2, "overall": 11}'}.get(act, content)
        usage = {"prompt_tokens": 1000, "completion_tokens": 100}
        reply = json.dumps({"choices": [{"message": {"content": content}}], "usage": usage})
        with self.server.lock:
            self.server.served[prompt] += act == "answer"
        self.send_response(200)
        self.end_headers()
        self.wfile.write((reply if act != "broken" else reply[:20]).encode())


def brightness(url: str) -> float:
    from PIL import Image

    pixels = Image.open(BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))).convert("L")
    return round(10 * sum(pixels.tobytes()) / (255 * 64), 3)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


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


def test_answers_are_read_strictly() -> None:
    said = 'Here you are:\n```json\n{"accuracy": 3, "style": 4.5, "overall": 10}\n```'
    assert parse(said, ("accuracy", "style", "overall")) == {"accuracy": 3, "style": 4.5, "overall": 10}
    for wrong in ("", "[1, 2]", '{"overall": "9"}', '{"overall": true}', '{"overall": -1}', '{"overall": NaN}', "{}"):
        with pytest.raises(ValueError, match="grader's"):
            parse(wrong, ("overall",))


def test_wrong_options_are_said(server: Server, tmp_path: Path) -> None:
    judge = grader(server, tmp_path).judge
    with pytest.raises(ValueError, match="no {prompt}"):
        LLMGrader(judge=judge, instruction="Grade this", aspects=ASPECTS)
    with pytest.raises(ValueError, match="report='beauty' is none of accuracy, style, overall"):
        LLMGrader(judge=judge, instruction=INSTRUCTION, aspects=ASPECTS, report="beauty")
    with pytest.raises(ValueError, match="needs prices"):
        grader(server, tmp_path, cap=1.0, prices=(0.0, 0.0))
