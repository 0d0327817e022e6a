"""A POST to an OpenAI-compatible server, which ends, and what its answer means: content, a refusal, or another try."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from concurrent.futures import wait
from typing import Any, NamedTuple, TypeVar

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from scaling.stop import check_stop
from scaling.verifiers.questions import NoGrade

MOST_BYTES = 4 * 2**20  # of an answer; a grade takes some hundred
POLL = 0.1  # seconds between two looks for a stop
T = TypeVar("T")
AGAIN = (408, 409, 425, 429)  # and 5xx
FILTERED = ("content_filter", "content_policy", "ResponsibleAIPolicyViolation")
CUT = ("length", "max_tokens", "MAX_TOKENS")


class Reply(NamedTuple):
    """A server's answer: its status, headers and text."""

    status: int
    headers: httpx.Headers
    text: str


async def post(client: httpx.AsyncClient, url: httpx.URL, body: str, seconds: float) -> Reply:
    """Sends JSON and reads the whole answer.

    Raises:
        TimeoutError: after `seconds` in all, however busy the server seems.
        ConnectionError: where there is no answer, or more than `MOST_BYTES` of it.
    """
    try:
        with anyio.fail_after(seconds):
            async with client.stream("POST", url, content=body) as response:
                received = bytearray()
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > MOST_BYTES:
                        raise ConnectionError(f"an answer of more than {MOST_BYTES} bytes")
    except TimeoutError:
        raise TimeoutError(f"no whole answer within {seconds:g} s") from None
    except httpx.HTTPError as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from None
    return Reply(response.status_code, response.headers, received.decode(errors="replace"))


def run_stoppable(function: Callable[[], Awaitable[T]]) -> T:
    """What an asynchronous function returns; it runs in a thread of its own and is canceled where a stop is asked for.

    Raises:
        Stopped: where a signal asked for a stop meanwhile.
    """
    with start_blocking_portal() as portal:
        future = portal.start_task_soon(function)
        while not wait([future], POLL).done:
            check_stop()
        return future.result()


class Unanswered(ValueError):
    """A try without a usable answer, where another may have one.

    `answered` says whether the judge did answer, `wait` how many seconds the server asks for.
    """

    def __init__(self, reason: str, answered: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.answered, self.wait = answered, wait


def rejection(reply: Reply, url: str) -> ValueError:
    """What a status other than 200 means: try again, no grade for this picture, or no use at all."""
    said = reply.text[:300]
    if reply.status in AGAIN or reply.status >= 500:
        after = reply.headers.get("Retry-After", "")
        wait = float(after) if after.replace(".", "", 1).isdigit() else None
        return Unanswered(f"HTTP {reply.status}: {said}" if said else f"HTTP {reply.status}", wait=wait)
    if any(word in reply.text for word in FILTERED):
        return NoGrade(f"{url} refused this picture or prompt: {said}")
    if 300 <= reply.status < 400:
        return ValueError(
            f"{url} redirects elsewhere (HTTP {reply.status}), and a key is not taken along: give its URL"
        )
    return ValueError(f"{url} refused the request with HTTP {reply.status}: {said}")


def read_reply(reply: Reply) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first choice and the usage; `Unanswered` where the reply has no choice."""
    try:
        answer = json.loads(reply.text)
        choice = answer["choices"][0]
        return {**choice, "message": dict(choice["message"])}, dict(answer.get("usage") or {})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = f"an answer that cannot be read ({type(error).__name__}): {reply.text[:200]!r}"
        raise Unanswered(reason) from None


def content_of(choice: dict[str, Any], logprobs: int) -> str:
    """What the judge wrote, or its first token's alternatives as JSON; a refusal is a `NoGrade`."""
    message = choice["message"]
    if message.get("refusal"):
        raise NoGrade(f"the judge refused: {str(message['refusal'])[:200]}")
    if choice.get("finish_reason") in FILTERED:
        raise NoGrade("the service's filter kept the answer back")
    if logprobs:
        return _alternatives(choice)
    content = message.get("content")
    if isinstance(content, list):  # some services answer in parts
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not content and choice.get("finish_reason") not in CUT:
        raise Unanswered(f"an empty answer (finish_reason {choice.get('finish_reason')})", answered=True)
    return str(content or "")


def _alternatives(choice: dict[str, Any]) -> str:
    try:
        first = choice["logprobs"]["content"][0]["top_logprobs"]
        found = {str(each["token"]): float(each["logprob"]) for each in first}
    except (LookupError, TypeError, ValueError):
        found = {}
    if not found:
        raise ValueError(
            "this endpoint gives no log-probabilities (top_logprobs): take a model that does, or one on this machine"
        )
    return json.dumps(found)
