"""The whole grid for the price of its largest budget."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scaling.cli.run import main
from scaling.config.build import clear_cache
from scaling.models.dit import DiT

VERIFIERS = ("classifier", "oracle", "self_supervised", "control")
COMMON = ["model=fashion_s", "conditions.count=12", "logger=none", "progress=false", "samples=0", "batch_size=16"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The command line, in this process, with nothing built before."""

    def run(*arguments: str) -> None:
        clear_cache()
        monkeypatch.setattr(sys, "argv", ["scaling", *arguments, *COMMON])
        main()

    return run


def runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("default/*/cost.json"))


def paid(folder: Path) -> Counter[str]:
    total: Counter[str] = Counter()
    for run in runs(folder):
        total.update(json.loads((run / "cost.json").read_text())["paid"])
    return total


@pytest.mark.slow
def test_four_verifiers_and_four_budgets_denoise_once(
    tmp_path: Path, command: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = 0
    init = DiT.__init__

    def counted(self: DiT, **options: object) -> None:
        nonlocal built
        built += 1
        init(self, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(DiT, "__init__", counted)
    grid = ["-m", f"verifier={','.join(VERIFIERS)}", "budget.candidates=1,2,4,8", "budget.final_nfe=12"]
    command(*grid, f"output_dir={tmp_path}")
    assert len(runs(tmp_path)) == 16
    assert built == 1
    winners = set()
    for run in runs(tmp_path):
        table = pq.read_table(run / "winners.parquet")
        winners |= set(zip(table["condition"].to_pylist(), table["candidate"].to_pylist(), strict=True))
    assert paid(tmp_path)["nfe"] == 12 * 8 * 10 + len(winners) * 12

    monkeypatch.setattr(DiT, "__init__", init)
    command("verifier=self_supervised", "budget.candidates=8", "budget.final_nfe=12", f"output_dir={tmp_path}/alone")
    alone = runs(tmp_path / "alone")[0]
    same = next(run for run in runs(tmp_path) if run.name.endswith(alone.name.rpartition("-")[2]))
    assert (alone / "curve.csv").read_text() == (same / "curve.csv").read_text()


@pytest.mark.slow
def test_a_finished_grid_is_not_run_again(tmp_path: Path, command: Callable[..., None]) -> None:
    command("-m", "verifier=control", "budget.candidates=1,2", f"output_dir={tmp_path}")
    before = {run: (run / "cost.json").stat().st_mtime_ns for run in runs(tmp_path)}
    command("-m", "verifier=control", "budget.candidates=1,2,4", f"output_dir={tmp_path}")
    after = {run: (run / "cost.json").stat().st_mtime_ns for run in runs(tmp_path)}
    assert len(after) == 3
    assert all(after[run] == before[run] for run in before)
