"""The how-to pages are run as they stand there: files are written, commands are issued in order."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, steps

MODULES = {"scaling": ["-m", "scaling"], "scaling-study": ["-m", "scaling.cli.study.command"], "python": []}
MODULES["pip"] = ["-m", "pip"]
SITE = ("--target", "site", "--no-deps", "--no-build-isolation")  # where a page's package goes, instead of here


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(path.stem for path in PAGES.glob("*.md") if steps(path)))
def test_a_how_to_runs(page: str, tmp_path: Path) -> None:
    for name, text in steps(PAGES / f"{page}.md"):
        if name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
            continue
        program, *arguments = shlex.split(text)
        done = subprocess.run(
            [sys.executable, *MODULES[program], *arguments, *(SITE if program == "pip" else ())],
            cwd=tmp_path,
            env=os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": os.pathsep.join([*sys.path, "site"])},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def test_most_pages_can_be_run() -> None:
    assert sum(bool(steps(path)) for path in PAGES.glob("*.md")) >= 6


def test_every_page_is_short() -> None:
    for path in PAGES.glob("*.md"):
        assert len(path.read_text().splitlines()) <= 60, path
