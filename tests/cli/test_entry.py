"""Stopped while it still imports, a command says so in one line and ends with the signal's own exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HOOK = """
import os, sys

class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["STOP_AT"]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), int(os.environ["STOP_WITH"]))

sys.meta_path.insert(0, Stop())
"""
RUN = ["-m", "scaling", "model=gaussian_mixture", "logger=none", "conditions.count=4", "progress=false"]
STUDY = ["-c", "from scaling.cli.entry import scaling_study; raise SystemExit(scaling_study())", "show", "outputs/none"]


def stopped(folder: Path, number: int, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command to which the signal comes as it imports the module."""
    (folder / "sitecustomize.py").write_text(HOOK)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    environment = os.environ | {"PYTHONPATH": path, "STOP_AT": module, "STOP_WITH": str(int(number))}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("number", "module", "arguments"),
    [
        (signal.SIGINT, "hydra", []),
        (signal.SIGTERM, "torch.nn", []),
        (signal.SIGHUP, "scaling.models.gaussian_mixture", []),
        (signal.SIGINT, "scaling.runner.run", ["seed=0,1", "--multirun"]),
    ],
)
def test_a_stop_among_the_imports_is_one_line(tmp_path: Path, number: int, module: str, arguments: list[str]) -> None:
    done = stopped(tmp_path, number, module, *RUN, *arguments)
    assert done.stderr == "scaling: stopped; all that was computed is kept, and the same command goes on\n"
    assert done.returncode == 128 + number


def test_the_other_command_says_so_too(tmp_path: Path) -> None:
    done = stopped(tmp_path, signal.SIGINT, "scaling.cli.study.command", *STUDY)
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 130


def test_where_it_was_can_be_asked_for(tmp_path: Path) -> None:
    done = stopped(tmp_path, signal.SIGINT, "hydra", *RUN, "debug=true")
    assert "Traceback" in done.stderr
