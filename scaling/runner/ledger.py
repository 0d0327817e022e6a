"""What a block has cost so far, kept beside its file: a process that is killed leaves word of what it had paid."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from scaling.budget import Cost
from scaling.output.block_result import BlockResult, arrays_in, load

OTHERS = ("seconds", "memory_mb", "device_mb")  # of an account, beside what was computed
SIZE = 1024  # bytes of a ledger: always overwritten whole, in one write


@dataclass(frozen=True)
class Account:
    """What all processes that worked on a block's file have paid."""

    cost: Cost = field(default_factory=Cost)
    seconds: float = 0.0
    memory_mb: float = 0.0  # of the host, the most of any process
    device_mb: float = 0.0  # of the device, the most of any process; 0 on a CPU

    def __add__(self, other: Account) -> Account:
        memory, device = max(self.memory_mb, other.memory_mb), max(self.device_mb, other.device_mb)
        return Account(self.cost + other.cost, self.seconds + other.seconds, memory, device)

    def columns(self) -> BlockResult:
        """The account as it stands in a block's file."""
        paid = {f"paid/{name}": np.array(value) for name, value in dataclasses.asdict(self.cost).items()}
        return paid | {name: np.array(getattr(self, name)) for name in OTHERS}


def ledger_path(part: Path) -> Path:
    """Where the ledger of a block's file is until that file is complete."""
    return part.with_suffix(".paid")


def read_ledger(part: Path) -> Account | None:
    """The account of a block's file that is not complete; None where there is no ledger."""
    try:
        ledger = json.loads(ledger_path(part).read_bytes())
        return Account(Cost(**ledger.pop("cost")), **ledger)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def account_of(part: Path) -> Account:
    """What a block's file says that it cost; nothing where there is none."""
    if not part.exists():
        return Account()
    wanted = [name for name in arrays_in(part) if name.startswith("paid/") or name in OTHERS]  # earlier ones have less
    columns = {name: value.item() for name, value in load(part, wanted).items()}
    paid = {name.removeprefix("paid/"): value for name, value in columns.items() if name.startswith("paid/")}
    return Account(Cost(**paid), **{name: columns[name] for name in OTHERS if name in columns})


def lost_part(folder: Path) -> Path:
    """The name, of no file, under which a folder of blocks' files accounts for those that were removed from it."""
    return folder / "removed.npz"


def keep_account(folder: Path, lost: Account) -> None:
    """Adds what a file cost that is removed from a folder of blocks' files to what earlier ones did."""
    part = lost_part(folder)
    _write(ledger_path(part), (read_ledger(part) or Account()) + lost)


class Ledger:
    """One process's entries on top of what earlier ones had paid, under the block's lease."""

    def __init__(self, part: Path, earlier: Account) -> None:
        """`earlier` is what the block's file says; a ledger that is there says that and more."""
        self._path, self._begun = ledger_path(part), time.monotonic()
        self._earlier, self._cost, self._expected = read_ledger(part) or earlier, Cost(), Cost()

    def total(self) -> Account:
        """Everything until now, of this process and those before it."""
        seconds = time.monotonic() - self._begun
        return self._earlier + Account(self._cost + self._expected, seconds, host_memory_mb(), device_memory_mb())

    def expect(self, cost: Cost) -> None:
        """Called before every batch with what it will cost, so that one that is cut short counts as paid."""
        self._expected += cost
        _write(self._path, self.total())

    def add(self, cost: Cost) -> None:
        """Called after batches, with what all that were expected have cost."""
        self._cost, self._expected = self._cost + cost, Cost()
        _write(self._path, self.total())

    def close(self) -> None:
        """The block's file says all of it now."""
        self._path.unlink(missing_ok=True)


def host_memory_mb() -> float:
    """The most that this process ever held in the host's memory; macOS counts bytes, Linux kilobytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def device_memory_mb() -> float:
    """The most that this process ever reserved on its GPUs; 0 where it uses none."""
    if not torch.cuda.is_initialized():
        return 0.0
    return sum(torch.cuda.max_memory_reserved(index) for index in range(torch.cuda.device_count())) / 2**20


def _write(path: Path, account: Account) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = json.dumps(dataclasses.asdict(account)).encode().ljust(SIZE)
    handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        os.write(handle, raw)
    finally:
        os.close(handle)
