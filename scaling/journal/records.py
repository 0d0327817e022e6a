"""An append-only file of checksummed records, each a few named arrays.

A record is a magic word, the lengths of header and body, a CRC-32 over both, a json header (dtypes, shapes, offsets)
and the arrays' bytes. A writer that dies leaves at most a torn tail; a reader drops the first record that does not
check out together with all behind it, and the next append overwrites them. So what is read is always a prefix of what
was written, never something else.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

MAGIC = b"SCJ1"
HEAD = struct.Struct("<4sIQI")  # magic, header bytes, body bytes, CRC-32 of both


class Reader:
    """A file that is opened once for all of its records."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def into(self, out: np.ndarray, offset: int) -> None:
        """Fills an array with the file's bytes from `offset` on."""
        if self._file is None:
            self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115
        if os.preadv(self._file.fileno(), [out.data.cast("B")], offset) < out.nbytes:
            raise OSError(f"{self.path} became shorter while it was read")

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True)
class OnDisk:
    """An array of a record that stays in its file until entries of it are asked for."""

    file: Reader
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    def __getitem__(self, entries: np.ndarray) -> np.ndarray:
        """Some entries, each run of successive ones in one read."""
        out = np.empty((len(entries), *self.shape[1:]), self.dtype)
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        breaks = np.flatnonzero(np.diff(entries) != 1) + 1
        for run in np.split(np.arange(len(entries)), breaks) if out.size else ():
            self.file.into(out[run[0] : run[-1] + 1], self.offset + int(entries[run[0]]) * size)
        return out


Layout = tuple[tuple[str, np.dtype, tuple[int, ...], int], ...]  # name, dtype, shape, offset in the body
Record = Mapping[str, np.ndarray | OnDisk]  # one-dimensional arrays are in memory, the others on disk


def in_memory(array: np.ndarray | OnDisk) -> np.ndarray:
    """A one-dimensional array of a record."""
    assert isinstance(array, np.ndarray)
    return array


@lru_cache(256)  # most records of a file have one of a few
def layout(header: bytes) -> Layout:
    """What a record's header says of its arrays."""
    columns: dict[str, Any] = json.loads(header)
    return tuple((name, np.dtype(code), tuple(shape), start) for name, (code, shape, start) in columns.items())


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """One record as bytes."""
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = [array.dtype.str, list(array.shape), offset]
        parts.append(raw)
        offset += len(raw)
    head, body = json.dumps(header).encode(), b"".join(parts)
    return HEAD.pack(MAGIC, len(head), len(body), zlib.crc32(body, zlib.crc32(head))) + head + body


class RecordFile:
    """The good records of a file, and appending to it; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        self._reader = Reader(path)
        self.dropped = 0  # bytes behind the last good record when the file was read
        self._end = 0
        if path.exists() and path.stat().st_size:
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                while self._take_record(mapped):
                    pass
                self.dropped = len(mapped) - self._end

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes one record behind the last good one, in a single write."""
        raw = pack(arrays)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "r+b" if self.path.exists() else "w+b", buffering=0) as file:
            file.truncate(self._end)
            file.seek(self._end)
            written = file.write(raw)
        if written != len(raw):
            raise OSError(f"only {written} of {len(raw)} bytes could be written to {self.path}: is the disk full?")
        self._add(layout(raw[HEAD.size : HEAD.size + HEAD.unpack_from(raw)[1]]), raw, 0)
        self._end += len(raw)

    def sync(self) -> None:
        """What was appended survives a power cut from here on."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())

    def _take_record(self, file: mmap.mmap) -> bool:
        start, body_start = self._end, self._end + HEAD.size
        if body_start > len(file):
            return False
        magic, head_bytes, body_bytes, checksum = HEAD.unpack_from(file, start)
        end = body_start + head_bytes + body_bytes
        if magic != MAGIC or end > len(file):
            return False
        with memoryview(file) as view, view[body_start:end] as content:
            if zlib.crc32(content) != checksum:
                return False
        self._add(layout(file[body_start : body_start + head_bytes]), file, start)
        self._end = end
        return True

    def _add(self, columns: Layout, source: mmap.mmap | bytes, start: int) -> None:
        body = start + HEAD.size + HEAD.unpack_from(source, start)[1]
        shift = self._end - start  # `source` may be this record alone
        record: dict[str, np.ndarray | OnDisk] = {}
        for name, dtype, shape, offset in columns:
            if len(shape) == 1:
                raw = source[body + offset : body + offset + shape[0] * dtype.itemsize]
                record[name] = np.frombuffer(raw, dtype)
            else:
                record[name] = OnDisk(self._reader, dtype, shape, body + offset + shift)
        self.records.append(record)
