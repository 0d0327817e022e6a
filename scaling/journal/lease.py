"""Leases by files: who may write a block, agreed on a shared filesystem without a database or clocks that agree.

A folder's lease is the highest of its numbered files, 00000.lease, 00001.lease, ... Creating the next number is taking
it, which the filesystem lets exactly one process do (O_EXCL). The holder counts in its file; who waits takes the next
number once the file says that it is free, once its holder has ended on this machine, or once the count has stood still
for `patience` seconds of looking. What one process has looked, the next need not look again: 00001.still says how long
which count has not moved. The highest file stays when it is released, so numbers only rise and an old view of the
folder takes nothing.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from scaling.journal.holder import Holder

STATE = 16  # bytes of a file that change; the holder's name behind them takes its room at once
FREE = b"free".ljust(STATE)
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

    def abandon(self) -> None:
        """Counts no more and gives nothing back, as a process that dies; the next one has its patience to wait."""
        self._stop.set()
        self._thread.join()

    def release(self) -> None:
        """Lets go; the next process need not wait."""
        self.abandon()
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


@dataclass(frozen=True)
class Seen:
    """What a process has seen of a lease that it wants."""

    number: int
    state: bytes
    holder: Holder | None
    still: float  # seconds that the state has not moved, as far as anybody looked
    at: float  # the last look


class Leases:
    """One process's view of the leases that it wants: when it last saw each of them move."""

    def __init__(
        self,
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        on_wait: Callable[[str], None] = lambda words: None,
    ) -> None:
        """`wait` tells `on_wait` at every look what is waited for."""
        self.patience, self._clock, self._on_wait = patience, clock, on_wait
        self._seen: dict[Path, Seen] = {}

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
        lease = Lease(folder, number + 1, self._beat)
        for old in numbers - {number + 1}:
            _path(folder, old).unlink(missing_ok=True)
            _still_path(folder, old).unlink(missing_ok=True)
        self._seen.pop(folder, None)
        return lease

    def wait(self, folder: Path, pause: float = 0.05) -> Lease:
        """The lease of a folder, as soon as it can be had."""
        while (lease := self.take(folder)) is None:
            self._on_wait(self.waiting_for([folder]))
            time.sleep(pause)
        return lease

    def waiting_for(self, folders: Iterable[Path]) -> str:
        """Who holds the folders, for people: processes at work, or one that does not stir and when that ends."""
        seen = [self._seen[folder] for folder in folders if folder in self._seen]
        silent = [each for each in seen if each.still >= self.patience / LOOKS]
        if silent:
            worst = max(silent, key=lambda each: each.still)
            return (
                f"{worst.holder or 'a process'} has not stirred for {worst.still:.0f} s; "
                f"after {self.patience:.0f} s its work is taken over"
            )
        names = sorted({str(each.holder) for each in seen if each.holder})
        return f"waiting for {', '.join(names) if 0 < len(names) <= 3 else f'{len(names) or 1} other processes'}"

    @property
    def _beat(self) -> float:
        return self.patience / LOOKS / 2

    def _is_over(self, folder: Path, number: int) -> bool:
        try:
            raw = _path(folder, number).read_bytes()
        except FileNotFoundError:
            return False  # being taken over
        state, holder = raw[:STATE], Holder.read(raw[STATE:])
        if state == FREE or (holder is not None and holder.is_dead()):
            return True
        now, last = self._clock(), self._seen.get(folder)
        if last is None or (last.number, last.state) != (number, state):
            still = _others_still(folder, number, state)
        else:
            still = last.still + min(max(now - last.at, 0.0), self.patience / LOOKS)
            if still >= self._beat:  # a living holder would have moved: worth a note for who looks next
                _note_still(folder, number, state, still)
        self._seen[folder] = Seen(number, state, holder, still, now)
        return still >= self.patience


def highest(folder: Path) -> int:
    """The number of a folder's newest lease, -1 where there was none yet."""
    return max(_numbers(folder), default=-1)


def newest(folder: Path) -> bytes | None:
    """What the newest lease says, None where there was none yet; b"" while it changes hands."""
    number = highest(folder)
    try:
        return _path(folder, number).read_bytes()[:STATE] if number >= 0 else None
    except FileNotFoundError:
        return b""


def _create(path: Path) -> bool:
    """Makes the file where nobody did; its room is taken at once, or an OSError says that there is none."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    content = b"0" * STATE + bytes(Holder.this())
    try:
        if os.write(handle, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return True


def _others_still(folder: Path, number: int, state: bytes) -> float:
    """For how many seconds others have seen this very count stand still."""
    try:
        raw = _still_path(folder, number).read_bytes()
        return max(float(raw[STATE:]), 0.0) if raw[:STATE] == state else 0.0
    except (OSError, ValueError):
        return 0.0


def _note_still(folder: Path, number: int, state: bytes, seconds: float) -> None:
    """Says so to later processes; of one length always, so that it is never read in parts."""
    with suppress(OSError):
        handle = os.open(_still_path(folder, number), os.O_CREAT | os.O_WRONLY, 0o666)
        try:
            os.write(handle, state + f"{seconds:016.3f}".encode())
        finally:
            os.close(handle)


def _numbers(folder: Path) -> set[int]:
    return {int(name.removesuffix(".lease")) for name in os.listdir(folder) if name.endswith(".lease")}


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.lease"


def _still_path(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.still"
