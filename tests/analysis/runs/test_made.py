"""Runs of equal settings whose judges, code or weights differ are kept apart, all others are joined as ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from folders import make_run

from scaling.analysis.figures.contest import leaderboard
from scaling.analysis.figures.specs import TABLES
from scaling.analysis.figures.tables import cells
from scaling.analysis.questions.advise import advise
from scaling.analysis.runs.folder import Run, find_runs, open_study
from scaling.analysis.runs.ladders import joined
from scaling.analysis.runs.lines import make_lines
from scaling.notices import take_notices

OLD, NEW = "ad125c1a817c9f58", "5b7e0a9917cc4d21"
SAME: dict[str, Any] = {"conditions": 40, "images": False}


def run_of(folder: Path, name: str, code: str | None, ladder: tuple[int, ...], seed: int = 0, **options: Any) -> Run:
    """A run whose judge has a code; its streams, one a rung, are of a search that is fitted to the budget."""
    path = make_run(folder, name, seed=seed, ladder=ladder, **{**SAME, **options})
    if code:
        judge = {"class": "Python", "judge": {"name": "judge.redness", "code": code}}
        stream = {"denoiser": {"class": "DiT", "weights": 4 * OLD}, "verifier": judge, "batch_size": 16 + seed}
        fitted = {
            size: {"name": "mine.Own", "code": OLD, "rounds": size, "grid": f"float64[{size}] {size:016x}"}
            for size in ladder
        }
        streams = {str(20 * size): {**stream, "seed": seed, "search": search} for size, search in fitted.items()}
        identities = {"streams": streams, "verifiers": {"classifier": judge}, "rungs": list(ladder)}
        (path / "environment.json").write_text(json.dumps({"identities": identities, "format": 3}))
    return Run(path)


@pytest.mark.parametrize("later", [(4,), (1, 2, 4)])
def test_runs_of_another_judge_are_another_line(tmp_path: Path, later: tuple[int, ...]) -> None:
    runs = [run_of(tmp_path, "old", OLD, (1, 2)), run_of(tmp_path, "new", NEW, later)]
    assert list(joined(runs)) == runs
    assert take_notices() == ["2 runs of equal settings are kept apart, since they were made by other classifier code"]
    lines = make_lines(joined(runs), "fid")
    assert {line.label: len(line.x) for line in lines} == {
        "random search, classifier code ad125c": 2,
        "random search, classifier code 5b7e0a": len(later),
    }
    assert len({line.look for line in lines}) == 2
    assert "classifier code" in advise(runs, 40, "classifier").words


def test_seeds_of_another_judge_are_not_averaged(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, f"{code}{seed}", code, (1, 2), seed) for code in (OLD, NEW) for seed in (0, 1)]
    assert [len(line.runs) for line in make_lines(joined(runs), "fid")] == [2, 2]
    assert len(leaderboard(runs).splitlines()) == 2 + 2
    assert {cell.model for cell in cells(TABLES["tab02"], None, runs)} == {
        "fashion_m, classifier code ad125c",
        "fashion_m, classifier code 5b7e0a",
    }


def test_budgets_seeds_and_batch_sizes_are_one_line(tmp_path: Path) -> None:
    for seed in (0, 1):
        for size in (1, 2, 4):
            run_of(tmp_path, f"{size}-{seed}", OLD, (size,), seed)
    (line,) = make_lines(joined(find_runs(tmp_path)), "fid")
    assert (line.label, len(line.x), len(line.runs)) == ("random search", 3, 2)
    assert take_notices() == []


def test_what_a_run_does_not_say_is_no_difference(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, "first", None, (1, 2)), run_of(tmp_path, "later", OLD, (4,))]
    (one,) = joined(runs)
    assert len(one.series("fid")) == 3
    more = run_of(tmp_path, "more", OLD, (1, 2, 4), seed=1)
    said = more.environment
    said["identities"]["verifiers"]["oracle"] = {"class": "Oracle", "weights": NEW}
    (more.path / "environment.json").write_text(json.dumps(said))
    (line,) = make_lines(joined([*runs, Run(more.path)]), "fid")
    assert len(line.runs) == 2


def test_a_class_whose_answers_changed_is_another(tmp_path: Path) -> None:
    old, new = (run_of(tmp_path, name, OLD, (1, 2), seed) for seed, name in enumerate(("old", "new")))
    said = new.environment
    for stream in said["identities"]["streams"].values():
        stream["search"]["version"] = 2
    (new.path / "environment.json").write_text(json.dumps(said))
    labels = [line.label for line in make_lines(joined([old, Run(new.path)]), "fid")]
    assert labels == ["random search, search version 1", "random search, search version 2"]


def test_judges_are_compared_by_their_name_in_a_contest(tmp_path: Path) -> None:
    for judge, code in (("shapes_weak", OLD), ("shapes_strong", NEW)):
        run = run_of(tmp_path, judge, code, (2,), verifier=judge)
        said = run.environment
        said["identities"]["verifiers"] = {judge: said["identities"]["verifiers"]["classifier"]}
        (run.path / "environment.json").write_text(json.dumps(said))
    assert len(leaderboard(open_study(tmp_path).runs).splitlines()) == 2 + 1
