"""Leases by files: who may write a block, agreed on a shared filesystem without a database or clocks that agree.

A folder's lease is the highest of its numbered files, 00000.lease, 00001.lease, ... Creating the next number is taking
it, which the filesystem lets exactly one process do (O_EXCL). The holder counts in its file; who waits takes the next
number once the count has stood still for `patience` seconds of its own looking, or once the file says that it is free.
The highest file stays when it is released, so numbers only rise and an old view of the folder takes nothing.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

FREE = b"free".ljust(16)  # every state is 16 bytes, so that none needs room on a full disk but the first
LOOKS = 10  # looks that it takes at least to find a holder dead, so that one jump of the clock does not


class LeaseLost(RuntimeError):
    """Another process has taken the lease over, since this one did not count for a while."""


class Lease:
    """The right to write into a folder, under a number that nobody else ever had; a context manager."""

    def __init__(self, folder: Path, number: int, beat: float) -> None:
        self.number = number
        self._path = _path(folder, number)
        self._beat = beat
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, name=f"lease {self._path}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """A LeaseLost once another process has taken over."""
        if not self._path.exists():
            raise LeaseLost(f"{self._path} was taken over: this process stood still for too long")

    def release(self) -> None:
        """Lets go; the next process need not wait."""
        self._stop.set()
        self._thread.join()
        self._write(FREE)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _count(self) -> None:
        count = 0
        while not self._stop.wait(self._beat):
            count += 1
            self._write(f"{count:016d}".encode())

    def _write(self, state: bytes) -> None:
        with suppress(OSError):  # taken over, or a sick disk: then this lease ends, which `check` and others notice
            handle = os.open(self._path, os.O_WRONLY)
            try:
                os.write(handle, state)
            finally:
                os.close(handle)


class Leases:
    """One process's view of the leases that it wants: when it last saw each of them move."""

    def __init__(self, patience: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.patience, self._clock = patience, clock
        self._seen: dict[Path, tuple[int, bytes, float, float]] = {}  # number, state, stood still for, last look

    def take(self, folder: Path) -> Lease | None:
        """The lease of a folder, or None while another holds it or was quicker."""
        folder.mkdir(parents=True, exist_ok=True)
        number = highest(folder)
        if number >= 0 and not self._is_over(folder, number):
            return None
        if not _create(_path(folder, number + 1)):
            return None
        numbers = _numbers(folder)
        if max(numbers) > number + 1:  # what was seen of the folder was old
            _path(folder, number + 1).unlink(missing_ok=True)
            return None
        lease = Lease(folder, number + 1, self.patience / LOOKS / 2)
        for old in numbers - {number + 1}:
            _path(folder, old).unlink(missing_ok=True)
        self._seen.pop(folder, None)
        return lease

    def wait(self, folder: Path, pause: float = 0.05) -> Lease:
        """The lease of a folder, as soon as it can be had."""
        while (lease := self.take(folder)) is None:
            time.sleep(pause)
        return lease

    def _is_over(self, folder: Path, number: int) -> bool:
        try:
            state = _path(folder, number).read_bytes()
        except FileNotFoundError:
            return False  # being taken over
        if state == FREE:
            return True
        now = self._clock()
        known, before, still, looked = self._seen.get(folder, (-1, b"", 0.0, now))
        moved = (known, before) != (number, state)
        still = 0.0 if moved else still + min(max(now - looked, 0.0), self.patience / LOOKS)
        self._seen[folder] = number, state, still, now
        return still >= self.patience


def highest(folder: Path) -> int:
    """The number of a folder's newest lease, -1 where there was none yet."""
    return max(_numbers(folder), default=-1)


def is_held(folder: Path) -> bool:
    """Whether somebody has the lease or died with it."""
    return newest(folder) not in (None, FREE)


def newest(folder: Path) -> bytes | None:
    """What the newest lease says, None where there was none yet; b"" while it changes hands."""
    number = highest(folder)
    try:
        return _path(folder, number).read_bytes() if number >= 0 else None
    except FileNotFoundError:
        return b""


def _create(path: Path) -> bool:
    """Makes the file where nobody did; its room is taken at once, or an OSError says that there is none."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        if os.write(handle, b"0" * 16) < 16:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return True


def _numbers(folder: Path) -> set[int]:
    return {int(name.removesuffix(".lease")) for name in os.listdir(folder) if name.endswith(".lease")}


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.lease"
