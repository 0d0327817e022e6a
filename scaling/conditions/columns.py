"""The columns of a file of prompts: which one is the prompt, which ones hold for their row alone, and the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from scaling.protocols import SETTINGS, Settings

PROMPTS = ("prompt", "prompts", "text", "caption")


@dataclass(frozen=True)
class Columns:
    """What a file's columns mean, told by its first row."""

    prompt: str
    settings: Mapping[str, str]  # by the setting's name, the column's

    @classmethod
    def of(cls, columns: Iterable[str], prompt: str | None = None) -> Columns:
        """The meaning of these columns; `prompt` names that of the prompt (None: the first of `PROMPTS` there is).

        Names are found as they are spelled, else in any case where only one is meant; a ValueError names those that
        there are.
        """
        names = list(columns)
        wanted = PROMPTS if prompt is None else (prompt,)
        found = next((column for name in wanted if (column := _find(name, names)) is not None), None)
        if found is None:
            raise ValueError(f"no column {' or '.join(wanted)}; conditions.column is one of {', '.join(names)}")
        settings = {name: column for name in SETTINGS if (column := _find(name, names)) is not None and column != found}
        return cls(found, settings)

    def split(self, cells: Mapping[str, Any]) -> tuple[str, Settings, dict[str, Any]]:
        """A row's prompt, what it sets for itself alone, and its other columns; a ValueError says what is wrong."""
        if self.prompt not in cells:
            raise ValueError(f"there is no {self.prompt!r}, where the first row has its prompt")
        prompt = cells[self.prompt]
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError(f"the prompt in column {self.prompt!r} is {prompt!r}")
        found = ((name, setting(name, cells.get(column))) for name, column in self.settings.items())
        settings = tuple((name, value) for name, value in found if value is not None)
        used = {self.prompt, *self.settings.values()}
        return prompt, settings, {name: cell for name, cell in cells.items() if name not in used}


def setting(name: str, cell: Any) -> str | int | float | None:
    """What a cell sets, as a number where the setting is one; None where it is empty; else a ValueError."""
    if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):  # NaN is parquet's empty number
        return None
    kind, word = SETTINGS[name]
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    value: Any = None
    if isinstance(cell, str) or (is_number and kind is not str):
        with suppress(ValueError, OverflowError):
            value = kind(cell)
    if value is None or (is_number and value != cell) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{name} is {cell!r}, and {word} is needed")
    return value


def _find(name: str, columns: list[str]) -> str | None:
    """The column of that name; a ValueError where two are it but for their case."""
    if name in columns:
        return name
    meant = [column for column in columns if column.lower() == name.lower()]
    if len(meant) > 1:
        raise ValueError(f"the column {name} may be {' or '.join(map(repr, meant))}")
    return meant[0] if meant else None
