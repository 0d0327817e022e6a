"""A block's segments written anew as one, without what is not wanted any more."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from scaling.journal.block import KEYS
from scaling.journal.lease import Lease
from scaling.journal.records import Record, RecordFile, in_memory

ROWS = 4096  # of a record, at most about

Scores = Mapping[str, np.ndarray]  # score column -> float64 [conditions, rows], -inf where there is none
Wanted = Callable[[str, Scores], np.ndarray | bool]  # column -> which entries stay: all, none, bool [conditions, rows]


def compact(folder: Path, lease: Lease, wanted: Wanted) -> None:
    """Replaces a block's segments by one that holds the wanted entries, each once, under the block's lease.

    A reader finds the old segments, or both (of equal entries the first counts), or the new one alone.
    """
    old = sorted(folder.glob("*.journal"))
    records = [record for path in old for record in RecordFile(path).records]
    if not records:
        return
    part = folder / f".{lease.number:05d}.part"
    for left_over in folder.glob(".*.part"):  # of a process that was killed here
        left_over.unlink()
    try:
        out = RecordFile(part)
        for record in _merged(_kept(records, wanted)):
            out.append(record)
        out.sync()
        lease.check()
        if part.exists():
            os.replace(part, folder / f"{lease.number:05d}.journal")
    except OSError:
        part.unlink(missing_ok=True)
        raise
    for path in old:
        path.unlink()


def _kept(records: Sequence[Record], wanted: Wanted) -> Iterator[dict[str, np.ndarray]]:
    """The wanted entries of every record, columns together that lack the same rows."""
    scores = _scores(records)
    masks: list[dict[str, np.ndarray]] = [{} for _ in records]
    for column in dict.fromkeys(name for record in records for name in record if name not in KEYS):
        stay = wanted(column, scores)
        holders = [number for number, record in enumerate(records) if column in record]
        for number, first in zip(holders, _first([records[n] for n in holders]), strict=True):
            places, rows = records[number]["places"], records[number]["row_numbers"]
            masks[number][column] = first & (stay if isinstance(stay, bool) else stay[places, rows])  # type: ignore[index]
    for record, column_masks in zip(records, masks, strict=True):
        by_mask: dict[bytes, list[str]] = {}
        for column, mask in column_masks.items():
            by_mask.setdefault(mask.tobytes(), []).append(column)
        for bits, columns in by_mask.items():
            entries = np.flatnonzero(np.frombuffer(bits, bool))
            if len(entries):
                keys = {name: in_memory(record[name])[entries] for name in ("places", "row_numbers")}
                values = {column: record[column][entries] for column in columns}
                yield {"condition_keys": in_memory(record["condition_keys"]), **keys, **values}


def _first(records: Sequence[Record]) -> list[np.ndarray]:
    """Which entries of each record no earlier one has, bool arrays."""
    keys = [(in_memory(r["places"]) << 32) + in_memory(r["row_numbers"]) for r in records]
    flags = np.zeros(sum(map(len, keys)), bool)
    flags[np.unique(np.concatenate(keys), return_index=True)[1]] = True
    return np.split(flags, np.cumsum([len(own) for own in keys])[:-1])


def _merged(records: Iterator[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Records of the same columns as few larger ones; entries are unique, so that their order says nothing."""
    waiting: dict[tuple, list[dict[str, np.ndarray]]] = {}
    for record in records:
        kind = tuple((name, column.dtype, column.shape[1:]) for name, column in record.items())
        waiting.setdefault(kind, []).append(record)
        if sum(len(each["places"]) for each in waiting[kind]) >= ROWS:
            yield _joined(waiting.pop(kind))
    yield from map(_joined, waiting.values())


def _joined(records: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    whole = {name: np.concatenate([record[name] for record in records]) for name in records[0]}
    there = set(whole["places"].tolist())
    names = [name for name in np.unique(whole["condition_keys"]) if int(name.partition(b":")[0]) in there]
    return {**whole, "condition_keys": np.array(names)}


def _scores(records: Sequence[Record]) -> dict[str, np.ndarray]:
    highest = [(int(in_memory(r["places"]).max()), int(in_memory(r["row_numbers"]).max())) for r in records]
    shape = tuple(np.max(highest, axis=0) + 1)
    scores: dict[str, np.ndarray] = {}
    for record in reversed(records):  # of two entries for one row the first counts
        for column in record:
            if column.startswith("score/"):
                dense = scores.setdefault(column, np.full(shape, -np.inf))
                dense[record["places"], record["row_numbers"]] = record[column]  # type: ignore[index]
    return scores
