"""Prompts from any file of them, and so from any benchmark of text-to-image models."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from scaling import checks
from scaling.conditions.columns import prompt_column, split
from scaling.conditions.prompt_files import FORMATS, format_of, read_rows, stem
from scaling.files import is_hidden, user_path
from scaling.loading.hub import find_folder
from scaling.protocols import Condition, Settings

# What a folder of prompts may hold beside them; all else that is no file of prompts is asked about.
_PASSED_OVER = (".md", ".rst", ".py", ".sh", ".html", ".png", ".jpg", ".jpeg", ".webp", ".gif")


class Entry(NamedTuple):
    """One row of a file, understood."""

    prompt: str
    settings: Settings
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Prompts:
    """The prompts of a file, of a folder or of a dataset on the hub.

    All prompts come once before any comes again, so that more copies or a larger count only append. Equal prompts are
    copies 0, 1, ... and have their own streams of noises. The columns `negative_prompt`, `seed` and `guidance_scale`
    hold for their row alone (an empty cell: as the model has it); `seed` picks other noises. All other columns, and the
    file's stem as `file`, become the condition's metadata.

    Args:
        path: a file, a folder or a hub id; `prompt_files.read_rows` says which files are read.
        files: globs in a folder or dataset, in order. None: every file of prompts that is not hidden.
        column: where the prompt stands. None: prompt, prompts, text or caption.
        copies: images of each prompt, at least 1.
        count: conditions at most. None: all.
        encoding: of text files. None: UTF-8, or what a byte order mark says.
        get: the command that an error shows where nothing is found.

    Raises:
        ValueError: one line that names the file, its line and what is wrong.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"get"})
    path: str
    files: Sequence[str] | str | None = None
    column: str | None = None
    copies: int = 1
    count: int | None = None
    encoding: str | None = None
    get: str | None = None

    def __post_init__(self) -> None:
        """Checks the parameters."""
        checks.text(**{"conditions.path": self.path})
        for name in ("column", "encoding", "get"):
            if (value := getattr(self, name)) is not None:
                checks.text(**{f"conditions.{name}": value})
        for pattern in self._patterns():
            checks.text(**{"conditions.files": pattern})
        checks.whole_from(1, **{"conditions.copies": self.copies})
        if self.count is not None:
            checks.whole_from(1, **{"conditions.count": self.count})
        most = self.copies * len(self.rows)
        if self.count is not None and self.count > most:
            raise ValueError(
                f"conditions.count={self.count}; {len(self.rows)} prompts of {self.copies} copies make 1 to {most}"
            )

    @cached_property
    def rows(self) -> tuple[Entry, ...]:
        """Every prompt with what its row sets and its metadata."""
        rows = tuple(row for file in self._found() for row in self._entries(file))
        if not rows:
            raise ValueError(f"there are no prompts in {self.path}")
        return rows

    def __len__(self) -> int:
        """How many conditions there are."""
        return self.copies * len(self.rows) if self.count is None else self.count

    def __iter__(self) -> Iterator[Condition]:
        """The conditions in order."""
        seen: Counter[str] = Counter()
        repeated = (row for _ in range(self.copies) for row in self.rows)
        for prompt, settings, metadata in islice(repeated, len(self)):
            yield Condition(prompt=prompt, copy=seen[prompt], settings=settings, metadata=metadata)
            seen[prompt] += 1

    def identity(self) -> dict[str, Any]:
        """The prompts themselves and what their rows set, as hashes: where they came from decides nothing."""
        identity = {"conditions": "prompts", "prompts": _digest([row.prompt for row in self.rows])}
        if any(row.settings for row in self.rows):
            identity["settings"] = _digest([row.settings for row in self.rows])
        return identity

    @property
    def metadata_digests(self) -> tuple[str, str]:
        """Hashes of the columns that are left over, empty where there are none, and of the files' names."""
        columns = [{name: cell for name, cell in row.metadata.items() if name != "file"} for row in self.rows]
        files = [row.metadata["file"] for row in self.rows]
        return _digest(columns) if any(columns) else "", _digest(files)

    def _patterns(self) -> tuple[str, ...]:
        if self.files is None:
            return ("*",)
        return (self.files,) if isinstance(self.files, str) else tuple(self.files)

    def _found(self) -> list[Path]:
        local = user_path(self.path)
        if local.is_file():
            return [local]
        patterns = self._patterns()
        try:
            folder = find_folder(self.path, patterns, kind="dataset")
        except ValueError as error:
            raise ValueError(f"{error}" + (f"; or: {self.get}" if self.get else "")) from None
        found = [file for pattern in patterns for file in _matching(folder, pattern)]
        return found if self.files is not None else [file for file in found if _holds_prompts(file, folder)]

    def _entries(self, file: Path) -> Iterator[Entry]:
        column: str | None = None
        for where, cells in read_rows(file, self.encoding):
            try:
                column = column or prompt_column(cells, self.column)
                prompt, settings, rest = split(cells, column)
            except ValueError as error:
                raise ValueError(f"{file}, {where}: {error}") from None
            yield Entry(prompt, settings, {"file": stem(file), **rest})


def _matching(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern in order; hidden ones (`.ipynb_checkpoints/a.csv`, `._a.csv`) only where it names them."""
    named = any(part.startswith(".") for part in Path(pattern).parts)
    found = sorted(file for file in folder.rglob(pattern) if file.is_file())
    return [file for file in found if named or not is_hidden(file, folder)]


def _holds_prompts(file: Path, folder: Path) -> bool:
    """Whether a folder's file is one of prompts; a ValueError where that cannot be told."""
    if format_of(file) is not None:
        return True
    if file.suffix.lower() in _PASSED_OVER or file.name.upper() == file.name:  # LICENSE
        return False
    raise ValueError(
        f"{file} is none of {', '.join(FORMATS)}: say which files of {folder} hold prompts, as "
        "conditions.files=['*.csv']"
    )


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()
