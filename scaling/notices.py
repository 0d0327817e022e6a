"""What a user should know when a command ends, each thing once with its count: cut prompts, images without a grade."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable

_seen: dict[str, set[Hashable]] = {}


def notice(text: str, keys: Iterable[Hashable]) -> None:
    """Remembers that `text`, in which `{n}` stands for a number, holds for each of `keys`; equal keys count once."""
    _seen.setdefault(text, set()).update(keys)


def take_notices() -> list[str]:
    """The notices so far, with their counts filled in; from here on they count anew."""
    lines = [text.replace("{n}", str(len(keys))) for text, keys in _seen.items() if keys]
    _seen.clear()
    return lines


def print_notices() -> None:
    """Writes the notices to standard error, a line each."""
    for line in take_notices():
        print(f"note: {line}", file=sys.stderr, flush=True)
