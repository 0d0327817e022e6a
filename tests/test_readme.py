"""What the README shows is run as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SMALL = ["model=gaussian_mixture", "conditions.count=4", "batch_size=16", "logger=none", "samples=0"]


def run(arguments: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_search_of_ones_own_runs_from_a_file_outside_the_package(tmp_path: Path) -> None:
    (code,) = (block for block in BLOCKS if block.startswith("# my_search.py"))
    (tmp_path / "my_search.py").write_text(code)
    (line,) = re.findall(r"^ +PYTHONPATH=\. (scaling .*my_search.*)$", README, re.MULTILINE)
    run(["-m", *shlex.split(line), *SMALL], tmp_path, PYTHONPATH=".")
    (curve,) = tmp_path.glob("outputs/*/*/curve.csv")
    assert [row.split(",")[6] for row in curve.read_text().splitlines()[1:]] == [
        "10.0",
        "20.0",
        "40.0",
        "80.0",
        "160.0",
    ]


def test_the_study_from_python_prints_its_curve(tmp_path: Path) -> None:
    (code,) = (block for block in BLOCKS if "scaling.Study(" in block)
    (tmp_path / "mine.py").write_text(code)
    printed = run(["mine.py"], tmp_path)
    assert printed.splitlines()[0].startswith("model,verifier,search,")
    assert len(printed.split("classifier,")) > 4
