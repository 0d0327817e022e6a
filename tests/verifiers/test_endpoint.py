"""An endpoint's requests, and what a hostile or slow server can do."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from judge_server import Server, judge_server

from scaling.stop import Stopped, stopping_at_batches
from scaling.verifiers.endpoint import Endpoint
from scaling.verifiers.questions import Question
from scaling.verifiers.replies import MOST_BYTES
from scaling.verifiers.services import SERVICES, service_of

KEY = 'sk-"1234567890&abc='
TEXT = "Grade this picture of: a fox"
# a gray pixel
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC"
)
SCHEMA = {"type": "object"}


@pytest.fixture
def server() -> Iterator[Server]:
    with judge_server() as server:
        yield server


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADER_KEY", KEY)


def endpoint(server: Server, folder: Path, **options: Any) -> Endpoint:
    settings = {"key_env": "GRADER_KEY", "backoff": 0.01, "timeout": 5.0, "retries": 1} | options
    return Endpoint(url=server.url, model="tiny", store=str(folder / "answers.sqlite"), **settings)


def ask(judge: Endpoint, schema: dict[str, Any] | None = SCHEMA) -> Any:
    return judge.ask_all([Question(TEXT, (PICTURE,), schema)], json.loads)[0]


def test_a_redirect_does_not_take_the_key_along(server: Server, tmp_path: Path) -> None:
    with judge_server() as other:
        server.elsewhere, server.plan = f"{other.url}/steal", {"a fox": ["redirect"]}
        with pytest.raises(ValueError, match="redirects elsewhere"):
            ask(endpoint(server, tmp_path))
        assert not other.asked


def test_a_key_that_is_echoed_is_masked(server: Server, tmp_path: Path) -> None:
    server.plan = {"a fox": ["leak", "echo"]}
    judge = endpoint(server, tmp_path, headers={"X-Other": "$GRADER_KEY"})
    with pytest.raises(ValueError, match="HTTP 401") as error:
        ask(judge)
    assert "Bearer ***" in str(error.value)
    assert KEY not in str(error.value)
    answer = judge.ask_all([Question(TEXT, (PICTURE,), SCHEMA)], lambda said: None)[0]
    assert "Bearer ***" in str(answer)
    kept = (tmp_path / "answers.sqlite").read_bytes()
    assert b"Bearer ***" in kept
    assert KEY.encode() not in kept
    assert json.dumps(KEY)[1:-1].encode() not in kept


@pytest.mark.parametrize(("act", "reason"), [("flood", "more than"), ("drip", "within 0.4 s")])
def test_an_answer_ends(server: Server, tmp_path: Path, act: str, reason: str) -> None:
    server.plan = {"a fox": [act]}
    options = {"retries": 0, "timeout": 0.4 if act == "drip" else 20}
    with pytest.raises(ValueError, match=reason):
        ask(endpoint(server, tmp_path, **options))
    assert server.poured < 8 * MOST_BYTES  # what waits in the sockets' buffers is not read


def test_a_stop_is_heard_while_waiting(server: Server, tmp_path: Path) -> None:
    server.plan = {"a fox": ["drip"]}
    judge = endpoint(server, tmp_path, timeout=30)

    def stop_when_asked() -> None:
        while not server.asked["a fox"]:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped), stopping_at_batches():
        threading.Thread(target=stop_when_asked, daemon=True).start()
        ask(judge)
    assert server.asked["a fox"] == 1


def test_the_usual_request_keeps_its_bytes(server: Server, tmp_path: Path) -> None:
    """Answers are kept under them: other bytes would be paid for again."""
    ask(endpoint(server, tmp_path))
    image = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    content = [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": image}}]
    schema = {"name": "grades", "strict": True, "schema": SCHEMA}
    expected = {
        "model": "tiny",
        "temperature": 0.0,
        "max_tokens": 500,
        "messages": [{"role": "user", "content": content}],
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    sent = {name: value for name, value in server.bodies[0].items() if name != "authorization"}
    assert json.dumps(sent) == json.dumps(expected)
    assert server.bodies[0]["authorization"] == f"Bearer {KEY}"


def test_parameters_are_what_the_user_says(server: Server, tmp_path: Path) -> None:
    judge = endpoint(
        server,
        tmp_path,
        temperature=None,
        max_completion_tokens=900,
        response_format=None,
        prices=None,
        body={"reasoning_effort": "low", "model": "other"},
    )
    ask(judge)
    sent = server.bodies[0]
    assert set(sent) == {"model", "max_completion_tokens", "messages", "reasoning_effort", "authorization"}
    assert (sent["model"], sent["max_completion_tokens"]) == ("other", 900)
    ask(endpoint(server, tmp_path, response_format="json_object", max_tokens=None))
    assert server.bodies[1]["response_format"] == {"type": "json_object"}
    assert "max_tokens" not in server.bodies[1]
    assert judge.identity() != endpoint(server, tmp_path).identity()


def test_the_first_tokens_alternatives_are_an_answer(server: Server, tmp_path: Path) -> None:
    judge = endpoint(server, tmp_path)
    question = Question(TEXT, (PICTURE,), logprobs=2)
    with pytest.raises(ValueError, match="no log-probabilities"):
        server.plan = {"a fox": ["answer"]}
        judge.ask_all([question], json.loads)
    server.alternatives = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -2.4}]
    assert json.loads(str(judge.ask_all([question], json.loads)[0])) == {"Yes": -0.1, "No": -2.4}
    assert server.bodies[-1]["top_logprobs"] == 2


def test_services_have_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    judge = Endpoint(url="openai", model="tiny", store=str(tmp_path / "answers.sqlite"))
    assert judge.url == "https://api.openai.com/v1"
    assert service_of("https://api.mistral.ai/v1/").key_env == "MISTRAL_API_KEY"
    assert service_of("http://127.0.0.1:1/v1").key_env == "OPENAI_API_KEY"
    assert all(service_of(name).url.startswith("http") for name in SERVICES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "openrooter"}, "did you mean openrouter?"),
        ({"url": "ftp://host/v1"}, "https://host/v1"),
        ({"url": "https://me:pass@host/v1"}, "a password or a key"),
        ({"url": "https://host/v1?api_key=abc"}, "a password or a key"),
        ({"key_env": "sk-abcdefgh"}, "not the key itself"),
        ({"cap": 1.0}, "cap=null"),
        ({"cap": 1.0, "prices": [1, 1], "max_tokens": None}, "needs max_tokens"),
        ({"response_format": "json"}, "json_object"),
        ({"headers": {"api-key": "$NO_SUCH_KEY"}}, "NO_SUCH_KEY is not set"),
    ],
)
def test_wrong_options_are_said(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    settings = {"url": "vllm", "model": "tiny", "store": str(tmp_path / "a.sqlite")} | options
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as error:
        Endpoint(**settings)
    assert "sk-abcdefgh" not in str(error.value)
