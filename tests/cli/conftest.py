"""The `scaling` command in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from scaling.analysis.figures import curve_plot
from scaling.cli.run import main as scaling
from scaling.config.build import clear_cache


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs `scaling` with some arguments, as a new process would: nothing is built yet."""

    def run(*arguments: str) -> None:
        clear_cache()
        monkeypatch.setattr(sys, "argv", ["scaling", *arguments, "progress=false"])
        scaling()

    return run


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command draws no curve, which would take a third of its time."""
    monkeypatch.setattr(curve_plot, "draw_curves", lambda runs, path: path)


class Done(NamedTuple):
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Done]:
    """Runs `scaling` in the test's folder, as it was typed: its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments: str) -> Done:
        clear_cache()
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["scaling", *arguments])
        code: str | int | None = None
        try:
            scaling()
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return Done(1, out, f"{err}{code}\n") if isinstance(code, str) else Done(code or 0, out, err)

    return run
