"""What the README shows is run as it stands there."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_pipelines import save

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
    (line,) = re.findall(r"^ +(scaling .*my_search.*)$", README, re.MULTILINE)
    run(["-m", *shlex.split(line), *SMALL], tmp_path)
    (curve,) = tmp_path.glob("outputs/*/*/curve.csv")
    rows = list(csv.DictReader(curve.read_text().splitlines()))
    assert [float(row["search_nfe"]) for row in rows] == [10, 20, 40, 80, 160]
    assert {row["search"] for row in rows} == {"Halfway"}


@pytest.mark.slow
def test_a_folder_of_diffusers_prompts_and_a_function_are_a_curve(tmp_path: Path) -> None:
    (code,) = (block for block in BLOCKS if block.startswith("# judge.py"))
    (tmp_path / "judge.py").write_text(code)
    (tmp_path / "prompts.txt").write_text("a red ring\ntwo blue crosses\n")
    save("sd15", tmp_path / "my_pipeline")
    (line,) = re.findall(r"^ +(scaling .*judge\.py.*)$", README, re.MULTILINE)
    small = ["budget.nfes_per_iter=4", "budget.final_nfe=4", "batch_size=2", "logger=none", "model.dtype=float32"]
    run(["-m", *shlex.split(line), *small], tmp_path)
    (show,) = re.findall(r"^ +scaling-study (show outputs/mine)$", README, re.MULTILINE)
    assert "redness" in run(["-m", "scaling.cli.study.command", *show.split()], tmp_path)
    (curve,) = tmp_path.glob("outputs/mine/*/curve.csv")
    rows = [row for row in csv.DictReader(curve.read_text().splitlines()) if row["metric"] == "redness"]
    values = [float(row["value"]) for row in rows]
    assert len(values) == 3 and values == sorted(values) and values[0] < values[-1]


def test_the_study_from_python_prints_its_curve(tmp_path: Path) -> None:
    (code,) = (block for block in BLOCKS if "scaling.Study(" in block)
    (tmp_path / "mine.py").write_text(code)
    printed = run(["mine.py"], tmp_path)
    assert printed.splitlines()[0].startswith("model,verifier,search,")
    assert len(printed.split("classifier,")) > 4
