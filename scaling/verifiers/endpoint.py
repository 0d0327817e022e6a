"""An OpenAI-compatible endpoint: asked with patience, paid for with care."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scaling.verifiers.response_store import ResponseStore

WAIT_MOST = 60.0  # seconds between two tries


class Endpoint:
    """Asks `url`/chat/completions about an image; the key is read from the environment variable `key_env`.

    Timeouts, lost connections, 408, 409, 429, 5xx and answers that cannot be read are tried again, `retries` times,
    after twice the last wait, `backoff` seconds at first, or what `Retry-After` says. `prices` are dollars per million
    tokens, [read, written]; `cap` is the most that the store may ever have spent: each try is set aside at what it can
    cost at most (a token a character, `image_tokens` an image, `max_tokens` written) and settled at what it did.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        store: str,
        key_env: str = "OPENAI_API_KEY",
        prices: tuple[float, float] = (0.0, 0.0),
        cap: float | None = None,
        image_tokens: int = 1500,
        max_tokens: int = 500,
        temperature: float = 0.0,
        retries: int = 6,
        backoff: float = 1.0,
        timeout: float = 60.0,
        workers: int = 8,
    ) -> None:
        if cap is not None and not any(prices):
            raise ValueError(f"a cap of {cap} dollars needs prices: dollars per million tokens, [read, written]")
        self.url, self.model, self.cap, self.workers = url.rstrip("/"), model, cap, workers
        self.prices, self.image_tokens, self.max_tokens = tuple(prices), image_tokens, max_tokens
        self.temperature, self.retries, self.backoff, self.timeout = temperature, retries, backoff, timeout
        self._key = os.environ.get(key_env, "")
        self.store = ResponseStore(Path(store).expanduser())

    def identity(self) -> dict[str, Any]:
        return {"endpoint": self.url, "model": self.model, "temperature": self.temperature}

    def ask(self, picture: bytes, text: str, schema: Mapping[str, Any], check: Callable[[str], Any]) -> str:
        """An answer that `check` accepts (it raises a ValueError else), from the store where it was given before."""
        body = self._body(picture, text, schema)
        key = hashlib.sha256(f"{self.url}\n{body}".encode()).hexdigest()
        if (kept := self.store.get(key)) is not None:
            return kept
        reason = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(self._wait(attempt, reason))
            content, reason = self._try(body, len(text))
            if content is None:
                continue
            try:
                check(content)
            except ValueError as error:
                reason = str(error)
                continue
            self.store.put(key, content)
            return content
        raise ValueError(
            f"{self.url} gave no answer in {self.retries + 1} tries (the last: {reason}); "
            f"the answers so far are kept in {self.store.file}"
        )

    def _body(self, picture: bytes, text: str, schema: Mapping[str, Any]) -> str:
        image = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": image}}]
        return json.dumps(
            {
                "model": self.model,
                "temperature": self.temperature,
                "max_tokens": self.max_tokens,
                "messages": [{"role": "user", "content": content}],
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "grades", "strict": True, "schema": dict(schema)},
                },
            }
        )

    def _try(self, body: str, characters: int) -> tuple[str | None, str]:
        """The content, or None and why there is none; a ValueError where trying again is of no use."""
        most = self._dollars(characters + self.image_tokens, self.max_tokens)
        charge = self.store.reserve(most, self.cap)  # stays where the request may have been served unseen
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        request = urllib.request.Request(f"{self.url}/chat/completions", body.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                reply = response.read()
        except urllib.error.HTTPError as error:
            self.store.settle(charge, 0.0)  # refused: not charged
            if error.code in (408, 409, 429) or error.code >= 500:
                return None, f"HTTP {error.code} retry-after={error.headers.get('Retry-After', '')}"
            said = error.read().decode(errors="replace")[:300]
            raise ValueError(f"{self.url} refused the request with HTTP {error.code}: {said}") from None
        except (OSError, http.client.HTTPException) as error:
            return None, f"{type(error).__name__}: {error}"
        try:
            answer = json.loads(reply)
            used = answer.get("usage") or {}
            if "prompt_tokens" in used:
                self.store.settle(charge, self._dollars(used["prompt_tokens"], used.get("completion_tokens", 0)))
            return str(answer["choices"][0]["message"]["content"]), ""
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            return None, f"an answer that cannot be read ({type(error).__name__})"

    def _dollars(self, read: int, written: int) -> float:
        return (read * self.prices[0] + written * self.prices[1]) / 1e6

    def _wait(self, attempt: int, reason: str) -> float:
        said = reason.partition("retry-after=")[2]
        if said.replace(".", "", 1).isdigit():
            return min(float(said), WAIT_MOST)
        return min(self.backoff * 2 ** (attempt - 1), WAIT_MOST) * random.Random(f"{reason}{attempt}").uniform(0.8, 1.2)
