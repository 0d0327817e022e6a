from pathlib import Path

import numpy as np
import pytest
from folders import GROUPS, NFE, make_run, without_scores

from scaling.analysis.questions.alarms import alarms
from scaling.analysis.report.data import study_data
from scaling.analysis.runs.costs import cost
from scaling.analysis.runs.folder import Run, find_runs, open_study
from scaling.analysis.runs.ladders import Ladder, joined
from scaling.analysis.runs.lines import make_lines
from scaling.cli.study.command import main

BUDGETS = (1, 2, 4, 16, 64)
SHARED = {"conditions": 50 * GROUPS, "pool": max(BUDGETS), "sets": ("fid", "recall")}


def sweep(folder: Path, verifier: str = "classifier") -> Path:
    """A run for each budget but the last, which has the first one's rung as well."""
    for size in BUDGETS:
        ladder = (1, size) if size == max(BUDGETS) else (size,)
        make_run(folder, f"{verifier}-{size:03d}", verifier=verifier, ladder=ladder, **SHARED)
    return folder


def test_a_sweep_over_budgets_reads_as_the_run_of_that_ladder(tmp_path: Path) -> None:
    whole = Run(make_run(tmp_path / "whole", ladder=BUDGETS, **SHARED))
    (one,) = joined(find_runs(sweep(tmp_path / "sweep")))
    assert one.curve == whole.curve
    assert one.winners.equals(whole.winners)
    for metric in whole.set_metrics:
        assert np.array_equal(one.replicates(metric), whole.replicates(metric))
    assert [alarm.words for alarm in alarms(one)] == [alarm.words for alarm in alarms(whole)] != []
    assert list(one.images) == list(one.grids) == [size * NFE for size in BUDGETS]
    assert joined([one]) == (one,)
    assert joined([whole]) == (whole,)


def test_a_joined_run_cost_what_its_runs_paid(tmp_path: Path) -> None:
    runs = find_runs(sweep(tmp_path))
    (one,) = joined(runs)
    assert one.cost["paid"]["nfe"] == sum(run.cost["paid"]["nfe"] for run in runs)
    pace = one.cost["seconds"] / one.cost["paid"]["nfe"]
    assert cost(one, one.curve[-1], "seconds") == pytest.approx(one.curve[-1].nfe * pace)
    assert pace > 0
    (runs[0].path / "cost.json").unlink()
    (one,) = joined(find_runs(tmp_path))
    assert not one.done


def test_only_budgets_are_joined(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path, f"seed{seed}", seed=seed, ladder=(1, 2), conditions=40)
    make_run(tmp_path, "other", verifier="oracle", ladder=(4,), conditions=40)
    make_run(tmp_path, "fewer", ladder=(4,), conditions=20)
    make_run(tmp_path, "longer", ladder=(4,), conditions=40, settings={"budget": {"nfes_per_iter": 2 * NFE}})
    make_run(tmp_path, "more", ladder=(4,), conditions=40)
    runs = joined(find_runs(tmp_path))
    assert sorted(run.path.name for run in runs) == ["fewer", "longer", "more", "other", "seed1"]
    assert [run.name for run in runs if isinstance(run, Ladder)] == ["more and 1 smaller"]


def test_budgets_are_joined_whose_scores_apply_to_different_numbers_of_conditions(tmp_path: Path) -> None:
    for size in (1, 2):
        path = make_run(tmp_path, f"{size}", ladder=(size,), conditions=40, sets=())
        without_scores(path, "classifier", 0, range(size))
    assert [type(run) for run in joined(find_runs(tmp_path))] == [Ladder]


def test_pictures_and_pages_draw_one_line_a_method(tmp_path: Path) -> None:
    for verifier in ("classifier", "oracle"):
        sweep(tmp_path, verifier)
    study = open_study(tmp_path)
    lines = make_lines(joined(study.runs), "fid")
    assert {line.label: len(line.x) for line in lines} == {"classifier": len(BUDGETS), "oracle": len(BUDGETS)}
    data = study_data(study)
    assert [len(line["values"]["fid"]) for line in data["lines"]] == [len(BUDGETS)] * 2
    assert len(data["runs"]) == 2 * len(BUDGETS)
    assert len(data["winners"]) == 2
    assert any("follows a saturating power law" in each["words"] for each in data["outlook"]["classifier"])


def test_commands_take_a_sweep_as_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(sweep(tmp_path))]) == 0
    text = capsys.readouterr().out
    assert text.count("candidates ┃") == 1
    assert "narrowed from" in text
    assert main(["advise", str(tmp_path), "--budget", str(10 * NFE), "--metric", "classifier"]) == 0
    assert "4 candidates" in capsys.readouterr().out  # the largest that was run within the budget


def test_a_run_without_a_rung_yet_stays_alone(tmp_path: Path) -> None:
    make_run(tmp_path, "begun", ladder=(1,), conditions=40)
    curve = tmp_path / "begun" / "curve.csv"
    curve.write_text(curve.read_text().splitlines()[0] + "\n")
    make_run(tmp_path, "done", ladder=(2,), conditions=40)
    with pytest.raises(ValueError, match="holds no rung yet"):
        _ = Run(tmp_path / "begun").identity
    assert len(joined(find_runs(tmp_path))) == 2
