"""Files that are there whole or not at all, and files that turn out not to be what they were."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Damaged(ValueError):
    """A file that cannot be read as what it should be; `path` is which."""

    def __init__(self, path: Path, why: object) -> None:
        super().__init__(path, " ".join(str(why).split()) or type(why).__name__)
        self.path = path

    def __str__(self) -> str:
        return f"{self.args[0]} is damaged ({self.args[1]})"


def user_path(path: str | Path) -> Path:
    """A path with the user's own folder in place of `~`; a `~` that is nobody's is a letter as any other."""
    return Path(os.path.expanduser(path))


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a path or a folder on its way from `folder` is hidden, as what systems and editors leave behind is."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path`, of this call alone, that takes its place at the end; after an error nothing is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")  # process ids repeat elsewhere
    try:
        yield part
        os.replace(part, path)
    except Exception:
        part.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The object that a file holds, empty where there is no file; a `Damaged` names one that holds none."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Damaged(path, "it is empty" if path.stat().st_size == 0 else error) from None
    if not isinstance(found, dict):
        raise Damaged(path, f"it holds a {type(found).__name__}")
    return found
