"""The Slurm launcher on a real Slurm of one node (scripts/slurm_sandbox.sh, as root, with Debian's packages)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slurm, pytest.mark.slow]
LAUNCHER = ["gpus_per_node=null", "cpus_per_task=1", "mem_gb=2", "signal_delay_s=10"]
COMMON = ["model=gaussian_mixture", "batch_size=64", "block_size=64", "logger=none", "progress=false", "samples=0"]
SHORT, LONG = "conditions.count=64", "conditions.count=20000"


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The sandbox, started for these tests and stopped behind them."""
    sandbox = tmp_path_factory.mktemp("slurm")
    script, environment = ROOT / "scripts" / "slurm_sandbox.sh", os.environ | {"SLURM_SANDBOX": str(sandbox)}
    subprocess.run([script, "start"], env=environment, check=True, stdin=subprocess.DEVNULL, timeout=300)
    os.environ["SLURM_CONF"] = str(sandbox / "slurm.conf")
    yield
    subprocess.run(["scancel", "--user=root"], check=True)
    until(lambda: not jobs())
    subprocess.run([script, "stop"], env=environment, check=True, timeout=120)
    del os.environ["SLURM_CONF"]


def sweep(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    launcher = ["hydra/launcher=slurm", *(f"hydra.launcher.{option}" for option in LAUNCHER)]
    arguments = ["-m", *launcher, *overrides, *COMMON, f"output_dir={folder}"]
    return subprocess.Popen(
        [sys.executable, "-m", "scaling", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finished(folder: Path) -> dict[str, int]:
    """When each complete run ended."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("default/*/cost.json")}


def blocks(folder: Path, done: dict[str, int]) -> list[Path]:
    """The blocks of the runs that are not yet done."""
    return [path for path in folder.glob("default/*/blocks/*.npz") if path.parents[1].name not in done]


def until(condition: Callable[[], object], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def jobs() -> list[str]:
    """The array tasks that Slurm knows of, pending or running."""
    listed = subprocess.run(["squeue", "-h", "-r", "-o", "%i"], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def test_eight_runs_complete(tmp_path: Path) -> None:
    process = sweep(tmp_path, SHORT, "seed=0,1,2,3,4,5,6,7")
    said = process.communicate(timeout=1200)[0]
    assert process.returncode == 0, said
    assert len(finished(tmp_path)) == 8


def test_after_scancel_of_one_only_that_one_runs_again(tmp_path: Path) -> None:
    process = sweep(tmp_path, SHORT, "seed=0,1")
    assert process.wait(timeout=1200) == 0
    done = finished(tmp_path)
    process = sweep(tmp_path, LONG, "seed=2", "journal.patience=2")
    until(lambda: blocks(tmp_path, done))
    subprocess.run(["scancel", jobs()[0]], check=True)
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 1, said
    assert "the same command" in said
    parts = {path: path.stat().st_mtime_ns for path in blocks(tmp_path, done)}
    assert parts
    assert finished(tmp_path) == done

    for overrides in ((SHORT, "seed=0,1"), (LONG, "seed=2", "journal.patience=2")):
        process = sweep(tmp_path, *overrides)
        said = process.communicate(timeout=1200)[0]
        assert process.returncode == 0, said
    after = finished(tmp_path)
    assert len(after) == 3
    assert {name: after[name] for name in done} == done
    assert all(path.stat().st_mtime_ns == when for path, when in parts.items())


def test_a_user_signal_requeues_the_run(tmp_path: Path) -> None:
    process = sweep(tmp_path, LONG, "seed=0", "journal.patience=2")
    until(lambda: list(tmp_path.glob("default/*/blocks/*.npz")))
    job = jobs()[0]
    subprocess.run(["scancel", "--signal=USR1", job], check=True)
    record = ["scontrol", "show", "job", job]
    until(lambda: "Restarts=1" in subprocess.run(record, capture_output=True, text=True).stdout)
    assert not finished(tmp_path)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)  # else it waits two minutes
    said = process.communicate(timeout=1200)[0]
    assert process.returncode == 0, said
    assert len(finished(tmp_path)) == 1
