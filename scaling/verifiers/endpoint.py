"""An OpenAI-compatible endpoint: asked with patience, paid for with care."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import anyio
import httpx

from scaling.files import user_path
from scaling.verifiers.questions import Check, NoGrade, Question
from scaling.verifiers.replies import CUT, Unanswered, content_of, post, read_reply, rejection, run_stoppable
from scaling.verifiers.response_store import ResponseStore
from scaling.verifiers.services import Mask, expanded, key_of, service_of

WAIT_MOST = 60.0  # seconds between two tries
FORMATS = ("auto", "json_schema", "json_object", None)


class Endpoint:
    """Asks `url`/chat/completions about images.

    Timeouts, lost connections, 408, 409, 429, 5xx and answers that cannot be read are tried again, `retries` times,
    after twice the last wait, `backoff` seconds at first, or what `Retry-After` says. Redirects are not followed, and
    the key is shown nowhere.

    Args:
        url: of an OpenAI-compatible endpoint (https://host/v1), or the name of a service in `services.SERVICES`.
        model: the service's name of it.
        store: the file that keeps the answers: nothing is asked twice.
        key_env: the environment variable with the key; None: the service's own.
        prices: dollars per million tokens, [read, written]; None: nothing is counted.
        cap: the most dollars that the store may ever have spent: each try is set aside at what it can cost at most (a
            token a character, `image_tokens` an image, `max_tokens` written) and settled at what it did. None: no cap.
        max_tokens, max_completion_tokens: the most tokens of an answer, by the name that the service knows; the second
            takes the first's place. None: not sent.
        temperature: None: not sent.
        response_format: how JSON is asked for: json_schema, json_object, None (by the instruction alone), or auto, as
            the service takes it.
        headers: more headers; `$NAME` in a value is that environment variable.
        body: more entries of the request; null takes an entry out.
        timeout: seconds for a whole answer.
        workers: requests at a time.

    Raises:
        ValueError: for a URL, a key or a set of options that cannot work.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset(
        {"store", "key_env", "prices", "cap", "image_tokens", "retries", "backoff", "timeout", "workers"}
    )

    def __init__(
        self,
        *,
        url: str,
        model: str,
        store: str,
        key_env: str | None = None,
        prices: Sequence[float] | None = None,
        cap: float | None = None,
        image_tokens: int = 1500,
        max_tokens: int | None = 500,
        max_completion_tokens: int | None = None,
        temperature: float | None = 0.0,
        response_format: str | None = "auto",
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        retries: int = 6,
        backoff: float = 1.0,
        timeout: float = 60.0,
        workers: int = 8,
    ) -> None:
        self.prices = tuple(prices or (0.0, 0.0))
        limit = max_tokens if max_completion_tokens is None else max_completion_tokens
        if cap is not None and not any(self.prices):
            raise ValueError(
                f"a cap of {cap} dollars needs prices: dollars per million tokens, [read, written]; cap=null: no cap"
            )
        if cap is not None and limit is None:
            raise ValueError(f"a cap of {cap} dollars needs max_tokens or max_completion_tokens; cap=null: no cap")
        if response_format not in FORMATS:
            raise ValueError(f"response_format={response_format!r}: auto, json_schema, json_object or null is needed")
        service = service_of(url)
        length = service.length if max_completion_tokens is None else "max_completion_tokens"
        self.url, self.model, self.cap, self.workers = service.url, model, cap, workers
        self.format = service.response_format if response_format == "auto" else response_format
        self.image_tokens, self.limit, self.temperature = image_tokens, limit, temperature
        self.retries, self.backoff, self.timeout = retries, backoff, timeout
        self._options = {"model": model, "temperature": temperature, length: limit}
        self._more = dict(body or {})
        more = expanded(headers or {})
        variable = service.key_env if key_env is None else key_env
        key = key_of(variable) if variable else ""
        signed = {"Authorization": f"Bearer {key}"} if key else {}
        self._headers = {"Content-Type": "application/json"} | signed | more
        hidden = [value for name, value in more.items() if value != str((headers or {})[name]).strip()]
        self._mask = Mask([key, *hidden, *(value.removeprefix("Bearer ") for value in hidden)])
        self.store = ResponseStore(user_path(store))

    def identity(self) -> dict[str, Any]:
        """The URL, the model, and what the request says beside the usual."""
        asked: dict[str, Any] = {"endpoint": self.url, "model": self.model, "temperature": self.temperature}
        asked |= {} if self.format == "json_schema" else {"response_format": self.format}
        return asked | ({"body": self._more} if self._more else {})

    def ask_all(self, questions: Sequence[Question], check: Check) -> list[str | NoGrade]:
        """An answer that `check` accepts (it raises a ValueError else) to each question, or why there is none.

        Answers that were given before come from the store. Where one question fails the others still finish and are
        kept.

        Raises:
            ValueError: where the server cannot be reached, refuses the request or would cost more than the cap.
            Stopped: where a signal asked for a stop.
        """
        answers: list[str | NoGrade] = [NoGrade("not asked")] * len(questions)
        failed: list[ValueError] = []

        async def answer(client: httpx.AsyncClient, limit: anyio.Semaphore, number: int) -> None:
            async with limit:
                try:
                    answers[number] = await self._ask(client, questions[number], check)
                except NoGrade as error:
                    answers[number] = error
                except ValueError as error:
                    failed.append(error)

        async def ask() -> None:
            limit = anyio.Semaphore(self.workers)
            client = httpx.AsyncClient(headers=self._headers, timeout=self.timeout, follow_redirects=False)
            async with client, anyio.create_task_group() as group:
                for number in range(len(questions)):
                    group.start_soon(answer, client, limit, number)

        run_stoppable(ask)
        if failed:
            raise failed[0]
        return answers

    async def _ask(self, client: httpx.AsyncClient, question: Question, check: Check) -> str:
        body = self._body(question)
        key = hashlib.sha256(f"{self.url}\n{body}".encode()).hexdigest()
        if (kept := self.store.get(key)) is not None:
            return kept
        last = Unanswered("not asked")
        for attempt in range(self.retries + 1):
            if attempt:
                await anyio.sleep(self._wait(attempt, last))
            try:
                content = await self._try(client, body, question, check)
            except Unanswered as error:
                last = error
                continue
            self.store.put(key, content)
            return content
        reason = f"{self.url} gave no answer in {self.retries + 1} tries (the last: {last})"
        if last.answered:
            raise NoGrade(reason)
        raise ValueError(f"{reason}; the answers so far are kept in {self.store.file}")

    def _body(self, question: Question) -> str:
        """The request; its bytes are what an answer is kept under."""
        content: list[dict[str, Any]] = [{"type": "text", "text": question.text}]
        for picture in question.pictures:
            image = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
            content.append({"type": "image_url", "image_url": {"url": image}})
        request: dict[str, Any] = self._options | {"messages": [{"role": "user", "content": content}]}
        if question.schema is not None and self.format == "json_schema":
            named = {"name": "grades", "strict": True, "schema": dict(question.schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        elif question.schema is not None and self.format is not None:
            request["response_format"] = {"type": self.format}
        if question.logprobs:
            request |= {"logprobs": True, "top_logprobs": question.logprobs}
        return json.dumps({name: value for name, value in (request | self._more).items() if value is not None})

    async def _try(self, client: httpx.AsyncClient, body: str, question: Question, check: Check) -> str:
        """The content of one request's answer; `Unanswered` where trying again may help, another ValueError else."""
        read = len(question.text) + self.image_tokens * len(question.pictures)
        most = self._dollars(read, self.limit or 0)
        charge = self.store.reserve(most, self.cap)  # stays where the request may have been served unseen
        target = httpx.URL(self.url)
        target = target.copy_with(path=target.path.rstrip("/") + "/chat/completions")
        try:
            reply = await post(client, target, body, self.timeout)
        except OSError as error:
            raise Unanswered(self._mask(str(error))) from None
        reply = reply._replace(text=self._mask(reply.text))
        if reply.status != 200:
            self.store.settle(charge, 0.0)  # refused: not charged
            raise rejection(reply, self.url)
        choice, usage = read_reply(reply)
        if "prompt_tokens" in usage:
            self.store.settle(charge, self._dollars(usage["prompt_tokens"], usage.get("completion_tokens", 0)))
        content = content_of(choice, question.logprobs)
        try:
            check(content)
        except ValueError as error:
            if choice.get("finish_reason") in CUT and not question.logprobs:
                raise NoGrade(f"the answer was cut at {self.limit} tokens: raise verifier.judge.max_tokens") from None
            raise Unanswered(str(error), answered=True) from None
        return content

    def _dollars(self, read: float, written: float) -> float:
        return (read * self.prices[0] + written * self.prices[1]) / 1e6

    def _wait(self, attempt: int, last: Unanswered) -> float:
        if last.wait is not None:
            return min(last.wait, WAIT_MOST)
        spread = random.Random(f"{last}{attempt}").uniform(0.8, 1.2)  # many workers do not come back at once
        return min(self.backoff * 2 ** (attempt - 1), WAIT_MOST) * spread
