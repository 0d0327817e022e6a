"""What a user should know when a command ends, each thing once with its count: cut prompts, images without a grade.

A run keeps its notices, so that they are said whoever reads its results, computed now or before.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from scaling.files import Damaged, read_json, replacing
from scaling.loaded import edited

_seen: dict[str, set[str]] = {}


def notice(text: str, keys: Iterable[object] = ("",)) -> None:
    """Remembers that `text`, in which `{n}` stands for a number, holds for each of `keys`; equal keys count once."""
    _seen.setdefault(text, set()).update(hashlib.blake2b(repr(key).encode(), digest_size=8).hexdigest() for key in keys)


def take_notices() -> list[str]:
    """The notices so far, with their counts filled in; from here on they count anew."""
    lines = [text.replace("{n}", str(len(keys))) for text, keys in _seen.items() if keys]
    _seen.clear()
    return lines


def keep_notices(folder: Path) -> None:
    """Joins the notices so far with those that a run's folder keeps from before, here and there."""
    path = folder / "notices.json"
    with suppress(Damaged, OSError):  # results are complete without them
        before = read_json(path)
        for text, keys in before.items():
            notice(text, ())
            _seen[text] |= set(keys)
        now = {text: sorted(keys) for text, keys in _seen.items() if keys}
        if now != before and folder.is_dir():
            with replacing(path) as part:
                part.write_text(json.dumps(now, indent=1))


def print_notices() -> None:
    """Writes the notices to standard error, a line each, and which modules were edited while they were in use."""
    for line in [*take_notices(), *edited()]:
        print(f"note: {line}", file=sys.stderr, flush=True)
