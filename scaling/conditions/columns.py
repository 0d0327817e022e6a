"""The columns of a file of prompts: which one is the prompt, which ones hold for their row alone, and the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from scaling.protocols import SETTINGS, Settings

PROMPTS = ("prompt", "prompts", "text", "caption")


def prompt_column(columns: Iterable[str], name: str | None = None) -> str:
    """The column of the prompts among those of a file's first row; `name` says it (None: the first of `PROMPTS`).

    Names are found as they are spelled, else in any case where only one is meant; a ValueError names those that there
    are.
    """
    names = list(columns)
    wanted = PROMPTS if name is None else (name,)
    found = next((column for each in wanted if (column := _find(each, names)) is not None), None)
    if found is None:
        raise ValueError(f"no column {' or '.join(wanted)}; conditions.column is one of {', '.join(names)}")
    return found


def split(cells: Mapping[str, Any], column: str) -> tuple[str, Settings, dict[str, Any]]:
    """A row's prompt, what it sets for itself alone, and its other columns; a ValueError says what is wrong.

    Which columns are settings is asked of every row, since lines of json have keys of their own.
    """
    if column not in cells:
        raise ValueError(f"there is no {column!r}, where the first row has its prompt")
    prompt = cells[column]
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError(f"the prompt in column {column!r} is {prompt!r}")
    names = [name for name in cells if name != column]
    columns = {name: found for name in SETTINGS if (found := _find(name, names)) is not None}
    values = ((name, setting(name, cells[found])) for name, found in columns.items())
    settings = tuple((name, value) for name, value in values if value is not None)
    left = [name for name in names if name not in columns.values()]
    return prompt, settings, {name: cells[name] for name in left}


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
