"""What dead workers leave of their leases: nothing that stops the next one for longer than its patience."""

from __future__ import annotations

import time
from pathlib import Path

from scaling.journal.lease import Lease, Leases


def stuck(folder: Path, patience: float = 0.2) -> list[Path]:
    """Leased folders that a newcomer cannot have within ten times its patience."""
    leases, folders = Leases(patience), {path.parent for path in folder.rglob("*.lease")}
    end = time.monotonic() + 10 * patience
    while folders and time.monotonic() < end:
        for each in sorted(folders):
            if lease := leases.take(each):
                lease.release()
                folders.remove(each)
        time.sleep(patience / 20)
    return sorted(folders)


def count(folder: Path, lease: Lease, number: int) -> None:
    """What the holder of a lease does from time to time: it counts in its file."""
    with open(folder / f"{lease.number:05d}.lease", "r+b") as file:
        file.write(f"{number:016d}".encode())
