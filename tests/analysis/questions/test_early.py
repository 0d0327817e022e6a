"""How early scores tell final ones, and what halving would have made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr
from studies import study

from scaling.analysis.questions.best_of_n import best_of_n
from scaling.analysis.questions.early import Early, early_pool, early_scores, words
from scaling.analysis.questions.pool import read_pool
from scaling.analysis.runs.folder import Run
from scaling.budget import Budget
from scaling.cli.study.command import main
from scaling.search.halving import Halving


def pool(seed: int = 0, noise: tuple[float, ...] = (2.0, 0.1)) -> Early:
    rng = np.random.default_rng(seed)
    final = rng.standard_normal((40, 32))
    seen = [final + scale * rng.standard_normal(final.shape) for scale in noise]
    times = (0.8, 0.4, 0.0) if len(noise) == 2 else (0.75, 0.5, 0.25, 0.0)
    return Early(times, (2, 4, 4), np.stack([*seen, final], axis=2))


def test_the_correlation_is_spearmans() -> None:
    early = pool()
    for place, (time, rho) in enumerate(early.correlations()):
        by_hand = [spearmanr(row[:, place], row[:, -1]).statistic for row in early.scores]
        assert time == early.times[place]
        assert rho.value == pytest.approx(np.mean(by_hand))


def test_scores_that_tell_nothing_leave_random_search_best_and_telling_ones_do_not() -> None:
    blind = pool(noise=(1e9, 1e9)).proposals(100)
    assert blind[0].times == ()
    seeing = pool(noise=(1e9, 0.01)).proposals(100)
    assert seeing[0].times == (0.4,)
    assert seeing[0].candidates > 10 > next(each for each in seeing if not each.times).candidates - 1


def test_costs_are_those_of_the_search(tmp_path: Path) -> None:
    from scaling.runner.run import execute

    every = Halving(candidates=6, rungs=(0.75, 0.5, 0.25), keep=1.0)
    folder = execute(study(tmp_path, search=every, budget=Budget(nfes_per_iter=4, nfe=[42])))
    early = early_scores(Run(folder))
    assert early.times == (0.75, 0.5, 0.25, 0.0)
    assert early.legs == (1, 1, 1, 1)
    assert early.pool == 6
    random = next(each for each in early.proposals(16) if not each.times)
    assert random.candidates == 4
    halved = next(each for each in early.proposals(16) if each.times == (0.5,) and each.keep == 0.5)
    assert halved.candidates == 4  # 4 (2 + 1) + 2 * 2 = 16
    assert any("rank correlation" in line for line in words(early, [16]))


def test_a_run_that_dropped_candidates_is_refused(tmp_path: Path) -> None:
    from scaling.runner.run import execute

    dropped = Halving(candidates=6, rungs=(0.75, 0.5), keep=0.5)
    folder = execute(study(tmp_path, search=dropped, budget=Budget(nfes_per_iter=4, nfe=[42])))
    with pytest.raises(ValueError, match="did not follow every candidate"):
        early_scores(Run(folder))


def step_table(path: Path, early: Early) -> Path:
    """The same scores as anybody's table, in any order of rows."""
    axes = np.indices(early.scores.shape).reshape(3, -1)
    columns = dict(zip(("condition", "candidate", "step"), axes, strict=True)) | {"clip": early.scores.ravel()}
    order = np.random.default_rng(0).permutation(early.scores.size)
    pq.write_table(pa.table({name: each[order] for name, each in columns.items()}), path)
    return path


def test_a_table_with_steps_says_what_a_run_does(tmp_path: Path) -> None:
    early = pool(noise=(2.0, 1.0, 0.1))
    read = early_pool(step_table(tmp_path / "scores.parquet", early), "clip")
    assert read.times == (0.75, 0.5, 0.25, 0.0) and read.legs == (1, 1, 1, 1)
    np.testing.assert_array_equal(read.scores, early.scores)
    assert [rho for _, rho in read.correlations()] == [rho for _, rho in early.correlations()]
    halved = next(each for each in read.proposals(40) if each.times == (0.5,) and each.keep == 0.5)
    assert halved.candidates == 13  # 13 * 2 + 7 * 2 = 40: its look costs nothing
    assert read_pool(tmp_path / "scores.parquet").scores["clip"] == pytest.approx(early.scores[..., -1])


def test_how_many_candidates_a_score_is_worth() -> None:
    early = pool()
    final = early.scores[..., -1]
    assert early.worth(float(best_of_n(final, final, 4).mean())) == pytest.approx(4)
    assert np.isnan(early.worth(1e9))


def test_the_command_reads_a_pool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = step_table(tmp_path / "scores.parquet", pool(noise=(2.0, 0.01, 0.01)))
    assert main(["rungs", "--pool", str(path), "--guide", "clip", "--budget", "40"]) == 0
    printed = capsys.readouterr().out
    assert "t = 0.75" in printed and "(as the best of " in printed
    assert main(["rungs", "--pool", str(path)]) == 1
    assert main(["rungs"]) == 1
    assert main(["rungs", "--pool", str(path), "--guide", "pick"]) == 1
    said = capsys.readouterr().err
    assert "--guide clip" in said and "or give --pool FILE" in said and "needs a column 'pick'" in said


def test_a_table_that_lacks_a_step_is_refused(tmp_path: Path) -> None:
    early = pool()
    path = step_table(tmp_path / "scores.parquet", early)
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(ValueError, match="has not every step of every candidate"):
        early_pool(path, "clip")


def test_a_table_of_categoricals_is_read_and_one_with_empty_cells_refused(tmp_path: Path) -> None:
    early = pool()
    path = step_table(tmp_path / "scores.parquet", early)
    table = pq.read_table(path)
    words = pa.array([f"prompt {place:03}" for place in table["condition"].to_pylist()])
    pq.write_table(table.set_column(0, "condition", words.dictionary_encode()), path)
    np.testing.assert_array_equal(early_pool(path, "clip").scores, early.scores)
    for name, line in (("candidate", "1 of .* rows without 'candidate'"), ("clip", "lacks 1 of .* scores 'clip'")):
        cells = pa.array([None, *table[name].to_pylist()[1:]])
        pq.write_table(table.set_column(table.column_names.index(name), name, cells), path)
        with pytest.raises(ValueError, match=line):
            early_pool(path, "clip")
