"""A process at work on a run says so in the run's folder: the leases of its streams may be held by another run."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scaling.journal.lease import Leases, newest

FOLDER = ".at-work"  # one lease a process, which nobody contends for: only its count is looked at


@contextmanager
def heartbeat(run: Path, patience: float) -> Iterator[None]:
    """Within it the process counts in the run's folder; a normal end takes away what killed ones have left, too."""
    lease = run / FOLDER / secrets.token_hex(4)
    try:
        with Leases(patience).wait(lease):
            yield
        shutil.rmtree(run / FOLDER, ignore_errors=True)
    finally:
        shutil.rmtree(lease, ignore_errors=True)


def counts(run: Path) -> dict[Path, bytes]:
    """How far every process that works or worked on the run has counted; what moves is alive."""
    states = {path: newest(path) for path in (run / FOLDER).glob("*")}
    return {path: state for path, state in states.items() if state is not None}
