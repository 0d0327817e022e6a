from pathlib import Path

import numpy as np
import pytest
from folders import make_run, make_study, without_scores

from scaling.analysis.runs.folder import open_run, open_study, shared_conditions
from scaling.schema import Candidate, Winner, names
from scaling.statistics import applying


def test_a_run_reads_back(tmp_path):
    run = open_run(make_run(tmp_path / "study", ladder=(1, 4), conditions=40))
    assert (run.name, run.study, run.done) == ("random", "study", True)
    assert run.choices["verifier"] == "classifier"
    assert run.metrics == ("fid", "classifier", "accuracy")
    assert [point.nfe for point in run.series("fid")] == [20, 80]
    assert [point.rung for point in run.series("fid")] == [0, 1]
    assert run.per_sample("accuracy").shape == (2, 40)
    assert run.per_sample("accuracy").mean(axis=1).tolist() == [p.value for p in run.series("accuracy")]
    assert run.replicates("fid").shape == (2, 20)
    assert run.candidates.num_rows == 40 * 4
    assert list(run.grids) == [20, 80]


def test_rungs_are_rows_by_condition(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 2), conditions=30))
    for rung in (0, 1):
        rows = run.winners.filter(np.array(run.winners["rung"]) == rung)
        assert rows["classifier"].to_pylist() == run.per_sample("classifier")[rung].tolist()


def test_a_condition_counts_where_its_score_is(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 2, 4), conditions=30))
    without_scores(run.path, "classifier", 1, [7])  # at the middle rung alone
    again = open_run(run.path)
    assert np.argwhere(np.isnan(again.per_sample("classifier"))).tolist() == [[1, 7]]
    assert applying(again.per_sample("classifier")).shape == (3, 29)
    assert again.per_sample("classifier", (0, -1)).tolist() == run.per_sample("classifier", (0, 2)).tolist()


def test_a_study_holds_its_runs(tmp_path):
    study = open_study(make_study(tmp_path / "quick", conditions=20))
    assert study.name == "quick"
    assert [run.name for run in study.runs] == ["random-classifier", "random-control", "steps-classifier"]
    assert shared_conditions(study.runs)


def test_runs_without_a_curve_yet_are_passed_over(tmp_path):
    make_run(tmp_path / "quick", conditions=20)
    young = tmp_path / "quick" / "young"
    young.mkdir()
    (young / "config.yaml").write_text("seed: 0\n")
    assert [run.name for run in open_study(tmp_path / "quick").runs] == ["random"]


def test_a_folder_of_the_first_form_reads_as_one_of_today():
    """Written before the curve had rungs and budgets, and before scores of the search had a name of their own."""
    run = open_run(Path(__file__).parents[2] / "golden" / "run_of_first_form")
    assert [(point.rung, point.budget_nfe, point.nfe) for point in run.curve] == [(0, 10, 10), (1, 20, 10), (2, 30, 30)]
    assert run.per_sample_metrics == ("control",)
    assert set(names(Winner)) < set(run.winners.column_names)
    assert run.winners["budget_nfe"].to_pylist() == [10] * 24 + [20] * 24 + [30] * 24
    assert run.winners.column_names[len(names(Candidate)) :] == ["search/control", "control"]
    assert run.candidates.column_names == [*names(Candidate), "search/control"]
    assert run.candidates["spent_nfe"].to_pylist()[:3] == [10, 30, 30]
    best = run.candidates["search/control"].to_numpy().reshape(24, 3).max(axis=1)
    assert run.search_scores[-1].tolist() == best.tolist()


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no run"):
        open_study(tmp_path)
    path = make_run(tmp_path / "study", conditions=20)
    with pytest.raises(ValueError, match="it holds 1 runs, name one"):
        open_run(tmp_path / "study")
    with pytest.raises(ValueError, match="no metric 'fidd'; it has fid, classifier, accuracy"):
        open_run(path).series("fidd")
    with pytest.raises(ValueError, match="no set metric 'recall'; it has fid"):
        open_run(path).replicates("recall")
    (path / "winners.parquet").unlink()
    with pytest.raises(ValueError, match=r"has no winners\.parquet"):
        _ = open_run(path).winners


def test_a_broken_curve_is_named(tmp_path):
    path = make_run(tmp_path, conditions=20)
    text = (path / "curve.csv").read_text()
    (path / "curve.csv").write_text(text.replace("gflops", "flops", 1))
    with pytest.raises(ValueError, match="lacks the column gflops"):
        _ = open_run(path).curve
    (path / "curve.csv").write_text(text.replace(",20,", ",twenty,", 1))
    with pytest.raises(ValueError, match="line 2"):
        _ = open_run(path).curve
