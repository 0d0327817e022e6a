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
from typing import Any

from scaling.conditions.prompt_files import SUFFIXES, read_rows
from scaling.loading.hub import find_folder
from scaling.protocols import Condition

COLUMNS = ("prompt", "prompts", "text", "caption")  # in any case


@dataclass(frozen=True)
class Prompts:
    """The prompts of a file, of a folder's `files` or of a dataset on the hub, `copies` images of each.

    All prompts come once before any comes again, so that more copies or a larger `count` (of conditions; None: all)
    only append. Equal prompts are copies 0, 1, ... and have their own streams of noises. `files` are globs in a folder,
    in order (None: every file of prompts); `column` is where the prompt stands (None: prompt, prompts, text or
    caption). All other columns, and the file's stem as `file`, become the condition's metadata. `get` is the command
    that an error shows where nothing is found.
    """

    path: str
    files: Sequence[str] | None = None
    column: str | None = None
    copies: int = 1
    count: int | None = None
    encoding: str | None = None
    get: str | None = None

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise ValueError(f"conditions.copies={self.copies}; the least is 1")
        most = self.copies * len(self.rows)
        if self.count is not None and not 1 <= self.count <= most:
            raise ValueError(
                f"conditions.count={self.count}; {len(self.rows)} prompts of {self.copies} copies make 1 to {most}"
            )

    @cached_property
    def rows(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Every prompt with its metadata."""
        rows = tuple(row for file in self._found() for row in self._prompts(file))
        if not rows:
            raise ValueError(f"there are no prompts in {self.path}")
        return rows

    def __len__(self) -> int:
        return self.copies * len(self.rows) if self.count is None else self.count

    def __iter__(self) -> Iterator[Condition]:
        seen: Counter[str] = Counter()
        repeated = (row for _ in range(self.copies) for row in self.rows)
        for prompt, metadata in islice(repeated, len(self)):
            yield Condition(prompt=prompt, copy=seen[prompt], metadata=metadata)
            seen[prompt] += 1

    def identity(self) -> dict[str, Any]:
        """The prompts themselves, as a hash: where they came from decides nothing."""
        content = json.dumps([prompt for prompt, _ in self.rows])
        return {"conditions": "prompts", "prompts": hashlib.sha256(content.encode()).hexdigest()}

    def _found(self) -> list[Path]:
        local = Path(self.path).expanduser()
        if local.is_file():
            return [local]
        patterns = tuple(self.files or ("*",))
        try:
            folder = find_folder(self.path, patterns, kind="dataset")
        except ValueError as error:
            raise ValueError(f"{error}" + (f"; or: {self.get}" if self.get else "")) from None
        found = [file for pattern in patterns for file in sorted(folder.rglob(pattern)) if file.is_file()]
        if self.files is None:
            found = [file for file in found if file.suffix in SUFFIXES]
        return found

    def _prompts(self, file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, row in enumerate(read_rows(file, self.encoding), start=1):
            column = self._column(file, list(row))
            prompt = row[column]
            if not isinstance(prompt, str) or not prompt.strip():
                raise ValueError(f"{file}, row {number}: the prompt in column {column!r} is {prompt!r}")
            rest = {key: value for key, value in row.items() if key != column}
            yield prompt, {"file": file.stem, **rest}

    def _column(self, file: Path, columns: list[str]) -> str:
        wanted = COLUMNS if self.column is None else (self.column,)
        for name in wanted:
            for column in columns:
                if column == name or (self.column is None and column.lower() == name):
                    return column
        raise ValueError(
            f"{file} has no column {' or '.join(wanted)}; conditions.column is one of {', '.join(columns)}"
        )
