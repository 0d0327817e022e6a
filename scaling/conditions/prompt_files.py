"""Rows of the files that prompts come in: csv, tsv, json, json lines, parquet and text, gzipped or not."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_ENCLOSED = re.compile(r'"(?:[^"]|"")*"')


class Row(NamedTuple):
    """One row of a file."""

    where: str  # as an error says it: `line 3` of a text, `row 3` where lines mean nothing
    cells: dict[str, Any]  # by column; a bare prompt is the column `prompt`


def read_rows(file: Path, encoding: str | None = None) -> Iterator[Row]:
    """The rows of a file as its suffix says, in any case, with `.gz` after it or not; empty rows are left out.

    Args:
        file: csv, tsv (quoted or not), json (a list, or an object of objects), json lines (`.jsonl`, `.ndjson`, or
            lines in a `.json`), parquet, or text with one prompt a line.
        encoding: of its text; None: UTF-8, or what its byte order mark says.

    Yields:
        Every row with where it stands.

    Raises:
        ValueError: names the file, its line and what is wrong: a suffix that is none of these, too.
    """
    suffix = format_of(file)
    if suffix is None:
        raise ValueError(
            f"{file}: prompts are read from {', '.join(FORMATS)} (each also with .gz), not from "
            f"{file.suffix or 'a file without a suffix'}"
        )
    data = _bytes(file)
    try:
        if suffix == ".parquet":
            yield from _parquet(data)
        else:
            yield from _TEXTS[suffix](_decode(data, encoding))
    except ValueError as error:
        raise ValueError(f"{file}, {error}") from None


def format_of(file: Path) -> str | None:
    """The suffix that says how a file is read, in small letters and without `.gz`; None where there is no such one."""
    suffix = Path(file.name.lower().removesuffix(".gz")).suffix
    return suffix if suffix in FORMATS else None


def stem(file: Path) -> str:
    """A file's name without its suffixes: `a` of `a.csv.gz`."""
    return Path(file.stem).stem if file.suffix.lower() == ".gz" else file.stem


def _bytes(file: Path) -> bytes:
    data = file.read_bytes()
    if file.suffix.lower() != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file} cannot be unpacked: {error}") from None


def _decode(data: bytes, encoding: str | None) -> str:
    """The text with line ends as `\\n`."""
    name = encoding or next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(name)
    except (UnicodeDecodeError, LookupError) as error:
        raise ValueError(f"which is not {name} ({error}); try conditions.encoding=cp1252") from None
    if "\0" in text:
        raise ValueError(f"which is no text in {name}: it holds zero bytes; try conditions.encoding=utf-16")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _delimited(text: str, delimiter: str) -> Iterator[Row]:
    """The rows of csv or tsv under the header, each with its first line; a short row lacks its last columns.

    Args:
        text: with line ends as `\\n`.
        delimiter: a comma, where quotation marks always enclose; or a tab, where they may be part of a cell.

    Raises:
        ValueError: with the line: a cell that does not close, more cells than columns, a column that is there twice.
    """
    quoted = delimiter != "\t" or _encloses(text)
    rows = _quoted(text, delimiter) if quoted else _plain(text, delimiter)
    _, header = next(rows, (0, []))
    names = [name.strip() for name in header]
    if twice := [name for name, times in Counter(names).items() if name and times > 1]:
        raise ValueError(f"line 1: there are two columns {twice[0]!r}")
    for line, cells in rows:
        if len(cells) > len(names):
            raise ValueError(f"line {line}: {len(cells)} cells under {len(names)} columns")
        if any(cell.strip() for cell in cells):
            yield Row(f"line {line}", dict(zip(names, cells, strict=False)))


def _encloses(text: str) -> bool:
    """Whether quotation marks in tab-separated text enclose cells, as spreadsheets write them."""
    lines = [line.split("\t") for line in text.split("\n") if line.strip()]
    if all(_ENCLOSED.fullmatch(cell) for line in lines for cell in line if cell.startswith('"')):
        return True
    # A cell that opens and does not close on its line: either it goes on over tabs and lines, or it begins with a word
    # in quotation marks. If every line has all of its cells, nothing goes on anywhere.
    if len(lines[0]) > 1 and len({len(line) for line in lines}) == 1:
        return False
    try:
        return bool(list(_quoted(text, "\t")))
    except ValueError:
        return False


def _quoted(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"line {first}: {error}") from None
        yield first, cells


def _plain(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line:
            yield number, line.split(delimiter)


def _text(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines, which cuts at unicode's separators too
        if line.startswith("# "):
            raise ValueError(f"line {number}: {line!r} looks like a comment, and in a text file all lines are prompts")
        if line.strip():
            yield Row(f"line {number}", {"prompt": line})


def _json(text: str) -> Iterator[Row]:
    try:
        items = _loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # more than one value: json lines under this suffix
            yield from _json_lines(text)
            return
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    if isinstance(items, dict) and items and all(isinstance(item, dict) for item in items.values()):
        items = list(items.values())  # objects by some number or name, as GenAI-Bench has them
    if not isinstance(items, list):
        raise ValueError(f"which holds a {type(items).__name__}: a list of prompts, or of objects with one, is needed")
    for number, item in enumerate(items, start=1):
        yield Row(f"row {number}", item if isinstance(item, dict) else {"prompt": item})


def _json_lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                item = _loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}, column {error.colno}: {error.msg}") from None
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
            yield Row(f"line {number}", item if isinstance(item, dict) else {"prompt": item})


def _loads(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError(f"an object names one of {', '.join(found)} twice")
        return found

    return json.loads(text, object_pairs_hook=once)


def _parquet(data: bytes) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"which is no parquet: {error}") from None
    for number, cells in enumerate(table.to_pylist(), start=1):
        yield Row(f"row {number}", cells)


_TEXTS: dict[str, Callable[[str], Iterator[Row]]] = {
    ".csv": partial(_delimited, delimiter=","),
    ".tsv": partial(_delimited, delimiter="\t"),
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".txt": _text,
}
FORMATS = (*_TEXTS, ".parquet")
