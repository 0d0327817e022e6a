"""What a block has cost so far, kept beside its file: a process that is killed leaves word of what it had paid."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scaling.budget import Cost
from scaling.output.block_result import BlockResult, load

SIZE = 512  # bytes of a ledger: always overwritten whole, in one write


@dataclass(frozen=True)
class Account:
    """What all processes that worked on a block's file have paid."""

    cost: Cost = field(default_factory=Cost)
    seconds: float = 0.0
    memory_mb: float = 0.0  # of the host, the most of any process

    def columns(self) -> BlockResult:
        """The account as it stands in a block's file."""
        paid = {f"paid/{name}": np.array(value) for name, value in dataclasses.asdict(self.cost).items()}
        return paid | {"seconds": np.array(self.seconds), "memory_mb": np.array(self.memory_mb)}


def ledger_path(part: Path) -> Path:
    """Where the ledger of a block's file is until that file is complete."""
    return part.with_suffix(".paid")


def read_ledger(part: Path) -> Account | None:
    """The account of a block's file that is not complete; None where there is no ledger."""
    try:
        said = json.loads(ledger_path(part).read_bytes())
        return Account(Cost(**said["cost"]), said["seconds"], said["memory_mb"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def account_of(part: Path) -> Account:
    """What a block's file says that it cost; nothing where there is none."""
    if not part.exists():
        return Account()
    names = [field.name for field in dataclasses.fields(Cost)]
    columns = load(part, [*(f"paid/{name}" for name in names), "seconds", "memory_mb"])
    cost = Cost(**{name: int(columns[f"paid/{name}"]) for name in names})
    return Account(cost, float(columns["seconds"]), float(columns["memory_mb"]))


def spent(parts: Sequence[Path]) -> tuple[Cost, float, float]:
    """What all workers paid for the parts, the seconds that took them, and the highest memory of any (MB).

    Parts that are not there yet, or not for all rungs, count with what their ledgers say.
    """
    accounts = [read_ledger(path) or account_of(path) for path in parts]
    paid = sum((account.cost for account in accounts), Cost())
    return paid, sum(a.seconds for a in accounts), max((a.memory_mb for a in accounts), default=0.0)


class Ledger:
    """One process's entries on top of what earlier ones had paid, under the block's lease."""

    def __init__(self, part: Path, earlier: Account) -> None:
        """`earlier` is what the block's file says; a ledger that is there says that and more."""
        self._path, self._begun = ledger_path(part), time.monotonic()
        self._earlier, self._cost = read_ledger(part) or earlier, Cost()
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def total(self) -> Account:
        """Everything until now, of this process and those before it."""
        seconds = time.monotonic() - self._begun + self._earlier.seconds
        return Account(self._earlier.cost + self._cost, seconds, max(host_memory_mb(), self._earlier.memory_mb))

    def add(self, cost: Cost) -> None:
        """Called after every batch."""
        self._cost += cost
        raw = json.dumps(dataclasses.asdict(self.total())).encode().ljust(SIZE)
        handle = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o666)
        try:
            os.write(handle, raw)
        finally:
            os.close(handle)

    def close(self) -> None:
        """The block's file says all of it now."""
        self._path.unlink(missing_ok=True)


def host_memory_mb() -> float:
    """The most that this process ever held in the host's memory; macOS counts bytes, Linux kilobytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1024)
