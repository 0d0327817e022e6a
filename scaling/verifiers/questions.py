"""What a judge that reads and writes is asked, and how it fails to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Check = Callable[[str], Any]  # raises a ValueError where an answer is of no use


@dataclass(frozen=True)
class Question:
    """A text about one or more pictures (PNG files' bytes).

    `schema` is the JSON schema of the answer that is wanted, `tokens` the most that a judge on this machine writes.
    With `logprobs` above 0 the answer is the JSON object of that many most likely first tokens and their
    log-probabilities.
    """

    text: str
    pictures: tuple[bytes, ...]
    schema: Mapping[str, Any] | None = None
    tokens: int = 500
    logprobs: int = 0


class NoGrade(ValueError):
    """A judge that answered, but not what was asked for: it refused, was cut, or cannot be read."""


class Judge(Protocol):
    """What answers questions about pictures: an `Endpoint` or a `LocalVLM`."""

    def ask_all(self, questions: Sequence[Question], check: Check) -> list[str | NoGrade]:
        """An answer that `check` accepts for each question, or why there is none."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """All that decides the answers, as plain json."""
        ...
