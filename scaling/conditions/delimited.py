"""Rows of csv and tsv text under a header, whether quotation marks enclose cells or are part of what they say."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

_ENCLOSED = re.compile(r'"(?:[^"]|"")*"')


def read(text: str, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows under the header, each with the number of its first line; a short row lacks its last columns.

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
            yield line, dict(zip(names, cells, strict=False))


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
