"""A block: a fixed run of conditions, and all that is known of their candidates, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scaling.journal.lease import Lease
from scaling.journal.records import Record, RecordFile, in_memory
from scaling.protocols import Condition

Keys = np.ndarray  # int64 [n, 2]: place of the condition in the block, row number of its candidate
Columns = tuple[str, ...]  # of one record: they have entries for the same rows
MISSING = np.iinfo(np.int64).max
KEYS = ("condition_keys", "places", "row_numbers")


class Block:
    """A table over (condition's place, row) whose columns fill as answers come in; first write wins.

    Columns are named arrays, one entry a row: what the search was told ("score/<scorer>", "x", "x0", "gradient"), what
    was charged ("spent", "nfe"), what was kept ("latents") and what finals and metrics added. Small columns are as
    good as in memory; large ones are memory-mapped and gathered on demand.

    Its folder holds a segment for every lease that wrote, so that each file had one writer in its life: whoever wakes
    up after its lease was taken over can spoil nothing.
    """

    def __init__(self, folder: Path, conditions: Sequence[Condition], lease: Lease | None = None) -> None:
        """Reads all segments; without a lease there is no writing."""
        self.folder, self.conditions = folder, conditions
        self.rows = 0  # one more than the highest row number of any condition
        self._lease = lease
        self._records: list[Record] = []
        self._where: dict[Columns, np.ndarray] = {}  # -> [conditions, rows] of record << 32 | entry, or MISSING
        self._of: dict[str, list[Columns]] = {}  # column -> the keys above that it is in
        self._known: set[bytes] = set()  # conditions that were found to be these
        for path in sorted(folder.glob("*.journal")):
            for record in RecordFile(path).records:
                self._check_conditions(path, in_memory(record["condition_keys"]))
                self._add(record)
        self._file = RecordFile(folder / f"{lease.number:05d}.journal") if lease is not None else None

    @property
    def columns(self) -> list[str]:
        """The names of all columns that hold an entry, sorted."""
        return sorted(self._of)

    def write(self, keys: Keys, columns: Mapping[str, np.ndarray]) -> None:
        """Appends entries for some rows as one record; a LeaseLost where another process writes by now."""
        if len(keys) == 0:
            return
        assert self._lease is not None, "a block is written under its lease only"
        assert self._file is not None
        self._lease.check()
        places = np.unique(keys[:, 0])
        names = np.array([f"{p}:{self.conditions[p].key}" for p in places], dtype="S64")
        entries = {name: np.atleast_1d(column) for name, column in columns.items()}
        flat = {"places": keys[:, 0].astype(np.int64), "row_numbers": keys[:, 1].astype(np.int64)}
        self._file.append({"condition_keys": names, **flat, **entries})
        self._add(self._file.records[-1])

    def has(self, column: str, keys: Keys) -> np.ndarray:
        """Whether each row has an entry, [n] bool."""
        return self._lookup(column, keys) != MISSING

    def get(self, column: str, keys: Keys) -> np.ndarray:
        """The entries of rows that all have one, [n, ...] with n at least 1."""
        where = self._lookup(column, keys)
        assert len(where) and (where != MISSING).all(), f"asked for {column} where there is none"
        order = np.argsort(where, kind="stable")
        numbers, entries = where[order] >> 32, where[order] & 0xFFFFFFFF
        ends = [*(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(order)]
        sample = self._records[numbers[0]][column]
        out = np.empty((len(order), *sample.shape[1:]), sample.dtype)
        begin = 0
        for end in ends:
            out[order[begin:end]] = self._entries(int(numbers[begin]), column, entries[begin:end])
            begin = end
        return out

    def dense(self, column: str, missing: float = np.nan) -> np.ndarray:
        """A scalar column as float64 [conditions, rows], `missing` where there is no entry."""
        out = np.full((len(self.conditions), self.rows), missing)
        if column in self._of:
            keys = np.argwhere(np.ones(out.shape, bool))
            if len(keys := keys[self.has(column, keys)]):
                out[keys[:, 0], keys[:, 1]] = self.get(column, keys)
        return out

    def sync(self) -> None:
        """Returns when all that was written is on the disk."""
        if self._file is not None:
            self._file.sync()

    def _entries(self, number: int, column: str, entries: np.ndarray) -> np.ndarray:
        try:
            return self._records[number][column][entries]
        except FileNotFoundError:  # who took the lease over may have rewritten the segments
            if self._lease is not None:
                self._lease.check()
            raise

    def _lookup(self, column: str, keys: Keys) -> np.ndarray:
        out = np.full(len(keys), MISSING)
        for columns in self._of.get(column, ()):
            where = self._where[columns]
            known = keys[:, 1] < where.shape[1]
            out[known] = np.minimum(out[known], where[keys[known, 0], keys[known, 1]])
        return out

    def _add(self, record: Record) -> None:
        number = len(self._records)
        self._records.append(record)
        places, rows = in_memory(record["places"]), in_memory(record["row_numbers"])
        here = np.flatnonzero(places < len(self.conditions))  # a study of fewer conditions may read it
        if len(here) == 0:
            return
        places, rows = places[here], rows[here]
        self.rows = max(self.rows, int(rows.max()) + 1)
        columns = tuple(name for name in record if name not in KEYS)
        if columns not in self._where:
            self._where[columns] = np.empty((len(self.conditions), 0), np.int64)
            for column in columns:
                self._of.setdefault(column, []).append(columns)
        where = self._where[columns]
        if where.shape[1] < self.rows:
            grown = max(self.rows, 2 * where.shape[1]) - where.shape[1]
            where = self._where[columns] = np.pad(where, ((0, 0), (0, grown)), constant_values=MISSING)
        where[places, rows] = np.minimum(where[places, rows], (number << 32) + here)

    def _check_conditions(self, path: Path, written: np.ndarray) -> None:
        for name in set(written.tolist()) - self._known:
            place, key = name.decode().split(":")
            if int(place) < len(self.conditions) and self.conditions[int(place)].key != key:
                raise ValueError(f"{path} was written for other conditions; move it away to start afresh")
            self._known.add(name)
