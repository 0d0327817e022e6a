"""The page of interfaces has an example of each, and the study that it makes of them runs."""

from __future__ import annotations

import csv
import re
import runpy
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "interfaces.md"
FILES = dict(re.findall(r"^```python title=\"(\w+\.py)\"\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))
PARTS = ["denoiser", "conditions", "verifier", "search", "sampler", "metric"]


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("part", PARTS)
def test_an_example_of_each_is_short(part: str) -> None:
    lines = [line for line in FILES[f"my_{part}.py"].splitlines() if line]
    assert 10 <= len(lines) <= 25


def test_the_examples_make_a_study_whose_search_pays(examples: Path) -> None:
    folder = runpy.run_path(str(examples / "my_study.py"))["folder"]
    with open(folder / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    of = {name: [float(row["value"]) for row in rows if row["metric"] == name] for name in ("smooth", "spread")}
    assert len(of["spread"]) == len(of["smooth"]) == 3
    assert of["smooth"] == sorted(of["smooth"])
    assert of["smooth"][0] < of["smooth"][-1]
