"""Images that exist already, from any model: a folder or a table of them, as conditions and candidates."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.conditions.columns import PROMPTS
from scaling.conditions.prompt_files import FORMATS, Row, format_of, read_rows
from scaling.files import is_hidden, user_path
from scaling.protocols import Condition

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
PATHS = ("path", "file", "filename", "image")
LABELS = ("class", "class_label", "label")
_NUMBERED = re.compile(r"(.+)[_-](\d+)")


@dataclass(frozen=True)
class ImageFile:
    """One image of a condition; `candidate` numbers it among those of its condition."""

    path: Path
    condition: Condition
    candidate: int

    @property
    def name(self) -> str:
        """The condition as a table calls it: its prompt, or `class 7`."""
        condition = self.condition
        return f"class {condition.class_label}" if condition.prompt is None else condition.prompt


def find_images(source: Path) -> list[ImageFile]:
    """The images of a folder or of a table, in order.

    Args:
        source: a folder with a subfolder for each condition, called by its prompt or class label (or with the prompt
            in `prompt.txt`, or in GenEval's `metadata.jsonl`); a folder of files called `<prompt>_<number>.png`; or a
            csv, tsv, json, json lines or parquet file with the columns `path` (from the table's folder), `prompt` or
            `class`, and perhaps `candidate`.

    Raises:
        ValueError: where there is no such source, no image in it, or no condition to a row, which it names.
    """
    if not source.exists():
        raise ValueError(f"there is no folder or table {source}")
    found = list(_numbered(_folder(source) if source.is_dir() else _table(source)))
    if not found:
        raise ValueError(f"{source} holds no image ({', '.join(SUFFIXES)})")
    return found


def _numbered(images: Iterable[tuple[Path, Condition, int | None]]) -> Iterator[ImageFile]:
    """Candidates without a number are counted in their order; a ValueError names a number that is there twice."""
    taken: dict[str, set[int]] = defaultdict(set)
    for path, condition, candidate in images:
        numbers = taken[condition.key]
        number = len(numbers) if candidate is None else candidate
        if number in numbers:
            raise ValueError(f"{path}: its condition has a candidate {number} already")
        numbers.add(number)
        yield ImageFile(path, condition, number)


def _folder(folder: Path) -> Iterator[tuple[Path, Condition, int | None]]:
    inside = (each for each in folder.iterdir() if each.is_dir() and not is_hidden(each, folder))
    subfolders = sorted(inside, key=_in_order)
    if not subfolders:
        named = ((path, _NUMBERED.fullmatch(path.stem)) for path in _images(folder))
        yield from ((path, _condition(match[1] if match else path.stem), None) for path, match in named)
        return
    labels = all(each.name.isdigit() for each in subfolders)
    for subfolder in subfolders:
        said = _said(subfolder)
        if said is None and labels:
            condition = Condition(class_label=int(subfolder.name))
        else:
            condition = _condition(said or subfolder.name)
        yield from ((path, condition, None) for path in _images(subfolder))


def _said(folder: Path) -> str | None:
    """The prompt that a file in a condition's folder says."""
    if (text := folder / "prompt.txt").is_file():
        return text.read_text(encoding="utf-8").strip()
    if (metadata := folder / "metadata.jsonl").is_file():
        return str(json.loads(metadata.read_text(encoding="utf-8").split("\n")[0])["prompt"])
    return None


def _condition(prompt: str) -> Condition:
    return Condition(prompt=prompt)


def _images(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not is_hidden(path, folder))
    return sorted(found, key=_in_order)


def _in_order(path: Path) -> list[Any]:
    """Names by their numbers: 2 before 10."""
    return [(not part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", str(path))]


def _table(file: Path) -> Iterator[tuple[Path, Condition, int | None]]:
    if format_of(file) in (None, ".txt"):
        valid = ", ".join(each for each in FORMATS if each != ".txt")
        raise ValueError(f"{file} is no table of images; valid: {valid}")
    for row in read_rows(file):
        try:
            path = user_path(str(_cell(row.cells, PATHS, "path")))
            number = row.cells.get("candidate")
            yield file.parent / path, _condition_of(row), None if number in (None, "") else int(number)
        except ValueError as error:
            raise ValueError(f"{file}, {row.where}: {error}") from None


def _condition_of(row: Row) -> Condition:
    found = [name for name in (*PROMPTS, *LABELS) if row.cells.get(name) not in (None, "")]
    if not found:
        raise ValueError(f"no column {', '.join((*PROMPTS, *LABELS))} says what the image is of; {_has(row.cells)}")
    value = row.cells[found[0]]
    return _condition(str(value)) if found[0] in PROMPTS else Condition(class_label=int(value))


def _cell(cells: Mapping[str, Any], names: tuple[str, ...], meaning: str) -> Any:
    value = next((cells[name] for name in names if cells.get(name) not in (None, "")), None)
    if value is None:
        raise ValueError(f"no column {', '.join(names)} says the image's {meaning}; {_has(cells)}")
    return value


def _has(cells: Mapping[str, Any]) -> str:
    return f"it has {', '.join(cells)}"
