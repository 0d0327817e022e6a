"""Real kill -9 of random workers in a real sweep on an embedded model."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from leases_left import stuck

from scaling.journal.records import RecordFile

SWEEP = [
    "model=fashion_s",
    "verifier=classifier,control",
    "conditions.count=60",
    "budget.candidates=[4,32]",
    "block_size=4",
    "batch_size=16",
    "logger=none",
    "progress=false",
    "journal.patience=2",
]


def command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "scaling", "-m", *SWEEP, f"output_dir={folder}", *more]


def workers_of(parent: int) -> list[int]:
    """The living worker processes of a command."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, ppid = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            words = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if int(ppid) == parent and state != "Z" and b"scaling.cli.entry" in words:
            found.append(int(path.name))
    return found


def curves(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("default/*/curve.csv"))]


def written_twice(folder: Path) -> int:
    """Candidates whose answer was computed and journaled more than once."""
    count = 0
    for block in folder.glob("journal/*/block-*"):
        rows: Counter[tuple[int, int]] = Counter()
        for segment in block.glob("*.journal"):
            for record in RecordFile(segment).records:
                if "spent" in record:
                    places, numbers = np.asarray(record["places"]), np.asarray(record["row_numbers"])
                    rows.update(zip(places.tolist(), numbers.tolist(), strict=True))
        count += sum(times - 1 for times in rows.values())
    return count


@pytest.mark.slow
def test_five_kills_of_random_workers_change_no_bit(tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    chance = random.Random(0)
    killed = 0
    for _ in range(20):
        sweep = subprocess.Popen(
            command(tmp_path / "killed", "workers=2"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while killed < 5 and sweep.poll() is None:
            journaled = len(list(tmp_path.glob("killed/journal/*/block-*/*.journal")))
            workers = workers_of(sweep.pid)
            if workers and journaled > 3 * killed:  # they are at work, and have been since the last kill
                os.kill(chance.choice(workers), signal.SIGKILL)
                killed += 1
            time.sleep(0.05)
        errors = sweep.communicate()[1]
        if sweep.returncode == 0:
            break
    assert sweep.returncode == 0, errors
    assert killed == 5
    assert curves(tmp_path / "killed") == curves(tmp_path / "whole")
    assert len(curves(tmp_path / "whole")) == 2
    assert written_twice(tmp_path / "killed") == 0  # only what was in flight was paid again
    assert not stuck(tmp_path)  # a worker may have died with the lease of a block that it had just ended
