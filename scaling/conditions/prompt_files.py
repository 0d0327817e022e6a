"""Rows of csv, tsv, json, json-lines, parquet and text files, whatever is quoted in them."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt")
Row = dict[str, Any]
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_rows(file: Path, encoding: str | None = None) -> Iterator[Row]:
    """The rows of a file as its suffix says; a text file has one prompt a line. Empty rows are left out.

    `encoding` None is UTF-8, or what the file's byte order mark says. ValueErrors name the file and what is wrong.
    """
    if file.suffix == ".parquet":
        from pyarrow import parquet

        yield from parquet.read_table(file).to_pylist()
        return
    text = _decode(file, encoding)
    if file.suffix in (".csv", ".tsv"):
        yield from _read_csv(file, text)
    elif file.suffix in (".json", ".jsonl"):
        yield from _read_json(file, text)
    else:
        lines = text.replace("\r\n", "\n").split("\n")  # not splitlines, which cuts at unicode's separators too
        yield from ({"prompt": line} for line in lines if line.strip())


def _decode(file: Path, encoding: str | None) -> str:
    data = file.read_bytes()
    marked = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding or marked)
    except (UnicodeDecodeError, LookupError) as error:
        raise ValueError(f"{file} is not {encoding or marked} ({error}); try conditions.encoding=cp1252") from None


def _read_csv(file: Path, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if file.suffix == ".tsv" else ",", strict=True)
    try:
        header = next(reader, [])
        for cells in reader:
            if len(cells) > len(header):
                raise ValueError(f"{file}, line {reader.line_num}: {len(cells)} cells under {len(header)} columns")
            if any(cell.strip() for cell in cells):
                yield dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise ValueError(f"{file}, line {reader.line_num}: {error}") from None


def _read_json(file: Path, text: str) -> Iterator[Row]:
    try:
        if file.suffix == ".json":
            items = json.loads(text)
        else:
            items = [json.loads(line) for line in text.split("\n") if line.strip()]
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is no {file.suffix[1:]}: {error}") from None
    if not isinstance(items, list):
        raise ValueError(f"{file} holds a {type(items).__name__}: a list of prompts, or of objects with one, is needed")
    for item in items:
        yield item if isinstance(item, dict) else {"prompt": item}
