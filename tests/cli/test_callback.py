"""A multirun ends with one picture of all its runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def test_every_combination_runs_and_one_picture_shows_them(
    tmp_path: Path, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-m", "model=gaussian_mixture", "conditions.count=2", "budget.candidates=1", "seed=0,1,2"]
    command(*arguments, "search=random,zero_order", f"output_dir={tmp_path}", "logger=none", "batch_size=2")
    assert len(list(tmp_path.glob("default/*/curve.csv"))) == 6
    assert (tmp_path / "default" / "curve.png").stat().st_size > 0
    assert capsys.readouterr().out.count("the study's curves") == 1
