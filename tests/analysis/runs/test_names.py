"""Labels tell lines apart, whatever they differ in."""

from __future__ import annotations

from pathlib import Path

from folders import make_run

from scaling.analysis.questions.advise import advise
from scaling.analysis.report.data import study_data
from scaling.analysis.runs.folder import Run, open_study
from scaling.analysis.runs.lines import make_lines
from scaling.analysis.runs.names import Names

SAME = {"conditions": 40, "ladder": (1, 2), "images": False}


def test_a_label_says_as_many_settings_as_tell_it_apart(tmp_path: Path) -> None:
    settings = [(1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 2, 2)]
    for place, values in enumerate(settings):
        own = {"search": dict(zip(("first", "second", "third"), values, strict=True))}
        make_run(tmp_path, f"{place}", settings=own, **SAME)
    assert [line.label for line in make_lines(open_study(tmp_path).runs, "fid")] == [
        "first 1, second 1, third 1",
        "first 1, second 1, third 2",
        "first 1, second 2",
        "first 2, second 2",
    ]


def test_numbers_that_look_the_same_are_written_out(tmp_path: Path) -> None:
    for share in (0.12345678, 0.12345679):
        make_run(tmp_path, f"{share}", settings={"search": {"share": share}}, **SAME)
    labels = [line.label for line in make_lines(open_study(tmp_path).runs, "fid")]
    assert labels == ["share 0.12345678", "share 0.12345679"]


def test_baselines_of_several_models_are_told_apart(tmp_path: Path) -> None:
    make_run(tmp_path, "random", **SAME)
    for model in ("fashion_s", "fashion_m"):
        make_run(tmp_path, model, "steps", model=model, **SAME)
    labels = Names(open_study(tmp_path).runs).labels.values()
    assert len(set(labels)) == 3


def test_a_seed_that_is_not_finished_is_told_apart(tmp_path: Path) -> None:
    for seed, ladder in enumerate([(1, 2), (1, 2), (1,), (1,)]):
        make_run(tmp_path, f"{seed}", "dfs", seed=seed, **{**SAME, "ladder": ladder})
    study = open_study(tmp_path)
    lines = make_lines(study.runs, "classifier")
    assert [line.label for line in lines] == ["DFS search", "DFS search, seeds 2, 3, 1 rung"]
    assert [len(line.runs) for line in lines] == [2, 2]
    assert len({line.look for line in lines}) == 2
    best = advise(study.runs, 20, "classifier")
    assert best.label not in best.alike
    data = study_data(study)
    assert len({line["label"] for line in data["lines"]}) == 2
    assert "DFS search, seed 1" in {run["label"] for run in data["runs"]}


def test_a_run_that_others_were_joined_of_has_their_line(tmp_path: Path) -> None:
    for size in (1, 2):
        make_run(tmp_path, f"{size}", **{**SAME, "ladder": (size,)})
    labels = {run["label"] for run in study_data(open_study(tmp_path))["runs"]}
    assert labels == {"random search"}


def test_whole_lines_are_what_a_table_shows(tmp_path: Path) -> None:
    from scaling.analysis.figures.specs import TABLES
    from scaling.analysis.figures.tables import cells

    runs = [Run(make_run(tmp_path, f"{seed}", seed=seed, **SAME)) for seed in (0, 1)]
    shown = cells(TABLES["tab02"], None, runs)
    late = Run(make_run(tmp_path, "late", seed=2, **{**SAME, "ladder": (1,)}))
    assert cells(TABLES["tab02"], None, [late, *runs]) == shown
