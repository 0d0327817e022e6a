"""The Ray launcher on a local cluster that the sweep starts itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]
COMMON = ["model=gaussian_mixture", "batch_size=64", "block_size=64", "logger=none", "progress=false", "samples=0"]


def sweep(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    arguments = ["-m", "hydra/launcher=ray", *overrides, *COMMON, f"output_dir={folder}"]
    return subprocess.Popen(
        [sys.executable, "-m", "scaling", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ray_workers(ancestor: int) -> list[int]:
    """The processes below a command in which Ray runs a job."""
    parents: dict[int, int] = {}
    working: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if b"ray::_run_job" in (path / "cmdline").read_bytes():
                working.append(int(path.name))
        except OSError:
            continue

    def below(pid: int) -> bool:
        while pid in parents and pid != ancestor:
            pid = parents[pid]
        return pid == ancestor

    return [pid for pid in working if below(pid)]


def test_a_killed_worker_is_replaced_and_its_run_goes_on(tmp_path: Path) -> None:
    process = sweep(tmp_path / "killed", "conditions.count=4000", "seed=0,1", "journal.patience=2")
    end = time.monotonic() + 600
    while not list(tmp_path.glob("killed/default/*/blocks/*.npz")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.1)
    os.kill(ray_workers(process.pid)[0], signal.SIGKILL)
    said = process.communicate(timeout=1200)[0]
    assert process.returncode == 0, said

    calm = sweep(tmp_path / "calm", "conditions.count=4000", "seed=0,1")
    said = calm.communicate(timeout=1200)[0]
    assert calm.returncode == 0, said
    curves = {
        name: [path.read_text() for path in sorted((tmp_path / name).glob("default/*/curve.csv"))]
        for name in ("killed", "calm")
    }
    assert len(curves["calm"]) == 2
    assert curves["killed"] == curves["calm"]
