"""What a judge that reads and writes is asked, and how it fails to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scaling import checks
from scaling.notices import notice

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


def checked_failure(on_failure: str) -> str:
    """What a question without an answer means, "error" or "skip"; a ValueError for anything else."""
    checks.one_of(("error", "skip"), **{"verifier.on_failure": on_failure})
    return on_failure


def count_failures(
    questions: Sequence[Question], answers: Sequence[str | NoGrade], on_failure: str, lacking: str, meaning: str
) -> None:
    """Ends the run for questions without an answer, or says how many there were when it ends.

    Args:
        questions: what was asked.
        answers: what came, in the same order.
        on_failure: "error" or "skip".
        lacking: what happened, for the message, as "images got no score".
        meaning: what became of them, where they are skipped.

    Raises:
        ValueError: with the first failure, where `on_failure` is "error" and there is one.
    """
    failed = [(asked, said) for asked, said in zip(questions, answers, strict=True) if isinstance(said, NoGrade)]
    if failed and on_failure == "error":
        raise ValueError(
            f"{len(failed)} of {len(questions)} {lacking} (the first: {failed[0][1]}); the others' are kept; "
            "verifier.on_failure=skip goes on without"
        )
    keys = [(asked.text, asked.pictures) for asked, _ in failed]
    notice(f"{{n}} {lacking} and {meaning} (verifier.on_failure)", keys)
