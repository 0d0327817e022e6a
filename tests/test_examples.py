"""The pages of docs/examples are run as they stand there, smaller, where the package of their weights is installed."""

from __future__ import annotations

import csv
import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pages import EXAMPLES, steps

PACKAGES = {"galaxygrad": "galaxygrad", "terrain": "terrain_diffusion"}  # what a page needs, by its name
SMALLER = {"galaxygrad": ["conditions.copies=4"], "terrain": ["conditions.count=4"]}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, package in PACKAGES.items() if find_spec(package)])
def test_an_example_gains_by_search_on_published_weights(page: str, tmp_path: Path) -> None:
    for name, text in steps(EXAMPLES / f"{page}.md"):
        if name:
            (tmp_path / name).write_text(text)
            continue
        done = subprocess.run(
            [sys.executable, "-m", "scaling", *shlex.split(text)[1:], *SMALLER[page], "budget.candidates=[1,4]"],
            cwd=tmp_path,
            env=os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
    (curve,) = tmp_path.glob("outputs/*/*/curve.csv")
    with curve.open() as file:
        first, last = (float(row["value"]) for row in csv.DictReader(file))
    assert first < last


def test_every_example_is_run_where_its_package_is() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.md")} == PACKAGES.keys() == SMALLER.keys()
    for page in PACKAGES:
        *files, command = steps(EXAMPLES / f"{page}.md")
        assert all(name.endswith(".py") and compile(text, name, "exec") for name, text in files)
        assert command[0] == "" and command[1].startswith("scaling ")
