"""Marks out of what a language model writes, read as a person would: the JSON object in it, and its numbers."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST = 10.0  # a mark is from 0 to this
_THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_UNOPENED = re.compile(r"^.*</(think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(
    r"\s*([-+]?\d+(?:[.,]\d+)?)\s*(?:(?:/|out of|of)\s*(\d+)(?:\.0+)?)?[\s.*]*(?:\(.*\))?\s*", re.DOTALL
)
_BARE = re.compile(r"\W*(?:(?:overall|score|rating|grade|mark)\W*)?(\d.*)", re.DOTALL | re.IGNORECASE)
_INNER = ("score", "mark", "rating", "grade", "value")


def parse(content: str, marks: Sequence[str]) -> dict[str, float]:
    """The marks, each from 0 to 10, in the last JSON object that has all of them.

    Thoughts, prose and fences around it are left aside. Keys may differ in case and in spaces for underscores; numbers
    may be strings, as "8" or "8/10". A single mark may also be a bare number.

    Raises:
        ValueError: saying what lacks.
    """
    said = _UNOPENED.sub("", _THOUGHT.sub("", content)).strip()
    problem = f"the grader's answer is no JSON object: {said[:200]!r}"
    for answer in reversed(list(_objects(said))):
        try:
            return {mark: _mark(answer, mark) for mark in marks}
        except ValueError as error:
            problem = str(error)
    if len(marks) == 1 and (bare := _BARE.fullmatch(said)) is not None:
        return {marks[0]: _number(bare[1], marks[0])}
    raise ValueError(problem)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in a text, in the order in which they begin, those within others too."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"\{", text):
        try:
            found: Any = decoder.raw_decode(text, match.start())[0]
        except (json.JSONDecodeError, RecursionError):
            found = _loose(text, match.start())
        if isinstance(found, dict):
            yield found


def _loose(text: str, begin: int) -> Any:
    """An object with single quotes or a comma too many, up to its closing brace; None where it is none."""
    end = text.find("}", begin)
    if end < 0:
        return None
    piece = re.sub(r",\s*}$", "}", text[begin : end + 1])
    try:
        return json.loads(piece)
    except json.JSONDecodeError:
        pass
    try:
        return ast.literal_eval(piece)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _mark(answer: Mapping[str, Any], mark: str) -> float:
    plain = {_plain(key): value for key, value in answer.items()}
    if _plain(mark) not in plain:
        raise ValueError(f"the grader's answer has no {mark}: {str(dict(answer))[:200]}")
    value = plain[_plain(mark)]
    if isinstance(value, Mapping):  # {"accuracy": {"score": 8, "reason": "..."}}
        inner = {_plain(key): each for key, each in value.items()}
        value = next((inner[name] for name in _INNER if name in inner), value)
    return _number(value, mark)


def _number(value: Any, mark: str) -> float:
    wrong = ValueError(f"the grader's {mark} is {value!r}: a number from 0 to 10 is needed")
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is None or match[2] not in (None, "10"):
            raise wrong
        value = float(match[1].replace(",", "."))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
        raise wrong
    return float(value)


def _plain(key: object) -> str:
    return re.sub(r"[\s_-]+", "_", str(key).strip().lower())
