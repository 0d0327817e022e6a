import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import fid, make_run

from scaling.analysis.questions.pool import Pool, best_of_n_rows, fixed_list, frechet_distance, pool_of, read_pool
from scaling.analysis.runs.folder import open_run
from scaling.cli.study.command import main


@pytest.fixture
def scores(tmp_path):
    """Somebody's scores: prompts as conditions, two scorers, features, one candidate missing."""
    rng = np.random.default_rng(0)
    quality = rng.standard_normal((60, 8))
    features = rng.standard_normal((60, 8, 3))
    features[..., 0] += quality
    table = pa.table(
        {
            "condition": np.repeat([f"prompt {i}" for i in range(60)], 8),
            "candidate": np.tile(np.arange(8), 60),
            "clip": (quality + 0.3 * rng.standard_normal(quality.shape)).ravel(),
            "aesthetic": quality.ravel(),
            "embedding": list(features.reshape(-1, 3)),
        }
    )
    pq.write_table(table.slice(0, 479), tmp_path / "scores.parquet")
    np.savez(tmp_path / "reference.npz", mu=np.zeros(3), sigma=np.eye(3))
    return tmp_path / "scores.parquet"


def test_anybodys_scores_are_read(scores):
    pool = read_pool(scores)
    assert list(pool.scores) == ["clip", "aesthetic"]
    assert pool.scores["clip"].shape == (60, 7)
    assert pool.features["embedding"].shape == (60, 7, 3)
    assert pool.dropped == 59


def test_rows_hold_every_guide_value_and_n(scores):
    rows = best_of_n_rows(read_pool(scores))
    assert {(row.guide, row.value) for row in rows} == {
        *((guide, value) for guide in ("clip", "aesthetic", "ensemble") for value in ("clip", "aesthetic"))
    }
    assert sorted({row.n for row in rows}) == [1, 2, 4, 7]
    own = [row.interval.value for row in rows if row.guide == row.value == "clip"]
    assert own == sorted(own)
    ones = {row.interval.value for row in rows if row.n == 1 and row.value == "clip"}
    assert max(ones) - min(ones) < 1e-12  # the best of one is anyone, whoever picks


def test_fid_by_subsets_marks_the_single_one(scores):
    reference = (np.zeros(3), np.eye(3))
    rows = [row for row in best_of_n_rows(read_pool(scores), reference=reference) if row.value == "fid(embedding)"]
    assert [row.single for row in rows if row.guide == "clip"] == [False, False, False, True]
    assert all("expected FID at 60 conditions" in row.covers for row in rows)


def test_the_frechet_distance_is_the_closed_form():
    features = np.random.default_rng(1).standard_normal((200, 4)) * 1.3 + 0.2
    assert frechet_distance(features, np.zeros(4), np.eye(4)) == pytest.approx(fid(features))


def test_a_run_of_random_search_is_a_pool(tmp_path):
    run = open_run(make_run(tmp_path, conditions=30, ladder=(1, 4)))
    pool = pool_of(run)
    assert pool.scores["classifier"].shape == (30, 4)
    assert pool.note == ""
    settings = {"budget": {"nfes_per_iter": 20, "final_nfe": 100}}
    resolved = pool_of(open_run(make_run(tmp_path, "resolved", conditions=20, settings=settings)))
    assert resolved.note == "search-time samples of 20 NFE; the winners are solved again with 100"
    with pytest.raises(ValueError, match="searched by zero_order, whose candidates depend on the scores"):
        pool_of(open_run(make_run(tmp_path, "zo", search="zero_order", conditions=20)))


def test_the_command_prints_and_writes(scores, capsys):
    out = scores.parent / "rows.csv"
    assert main(["report", "--pool", str(scores), "--n", "1", "4", "--guide", "clip", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "60 conditions of 7 candidates, 59 candidates left out" in text
    assert "by clip" in text
    rows = list(csv.DictReader(out.open()))
    assert {row["n"] for row in rows} == {"1", "4"}
    picture = scores.parent / "rows.png"
    reference = str(scores.parent / "reference.npz")
    assert main(["report", "--pool", str(scores), "--out", str(picture), "--reference", reference]) == 0
    assert picture.stat().st_size > 10_000


def test_bad_pools_are_one_line(scores, tmp_path, capsys):
    assert main(["report", "--pool", str(scores), "--guide", "clips"]) == 1
    assert capsys.readouterr().err == "error: the pool has no score 'clips'; it has clip, aesthetic\n"
    pq.write_table(pa.table({"prompt": ["a"], "score": [1.0]}), tmp_path / "bad.parquet")
    assert main(["report", "--pool", str(tmp_path / "bad.parquet")]) == 1
    assert "needs a column 'condition'; it has prompt, score" in capsys.readouterr().err


def test_bounds_for_these_very_conditions_cover_their_mean_and_are_narrower():
    """Conditions differ by 3, candidates by 1: fresh candidates for the same conditions move the mean by little."""
    conditions = 3 * np.random.default_rng(0).standard_normal((60, 1))
    truth = conditions.mean() + 1.0294  # the mean of the best of 4 Gaussians

    def bounds(k):
        values = conditions + np.random.default_rng(k + 1).standard_normal((60, 40))
        return fixed_list(values, values, 4)

    hits = [low < truth < high for low, high in map(bounds, range(200))]
    assert 0.9 <= np.mean(hits) <= 0.99
    values = conditions + np.random.default_rng(1).standard_normal((60, 40))
    (row,) = best_of_n_rows(Pool({"clip": values}), ladder=[4])
    assert row.interval.high - row.interval.low > 3 * (row.fixed[1] - row.fixed[0])
    assert np.isnan(fixed_list(values, values, 11)).all()
    assert np.isnan(fixed_list(values[:, :19], values[:, :19], 2)).all()


def refused(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    with pytest.raises(ValueError) as error:
        read_pool(tmp_path / "table.parquet")
    return str(error.value)


def test_a_candidate_that_is_there_twice_is_refused(tmp_path):
    twice = {"condition": ["a", "a", "b", "b", "b"], "candidate": [0, 1, 4, 5, 4], "clip": [1.0, 2, 3, 4, 3]}
    assert "has condition 'b', candidate 4 2 times: leave one row" in refused(tmp_path, twice)
    steps = {"condition": [0] * 5, "candidate": [0, 0, 1, 1, 1], "step": [0, 1, 0, 1, 0], "clip": [9.0, 1, 8, 2, 8]}
    assert "has condition 0, candidate 1, step 0 2 times" in refused(tmp_path, steps)
    on_the_way = {"t": [0.5, 0.0, 0.5, 0.0], "condition": [0] * 4, "candidate": [0, 0, 1, 1], "clip": [9.0, 1, 8, 2]}
    pq.write_table(pa.table(on_the_way), tmp_path / "good.parquet")
    assert read_pool(tmp_path / "good.parquet").size == 2
    unnamed = {"condition": ["a", "a"], "clip": [1.0, 1.0]}
    pq.write_table(pa.table(unnamed), tmp_path / "good.parquet")
    assert read_pool(tmp_path / "good.parquet").size == 2


@pytest.mark.parametrize("named", [True, False], ids=["candidates named", "none named"])
def test_a_candidate_that_ends_before_the_last_step_is_refused(tmp_path, named):
    steps = {"condition": ["b"] * 4 + ["a"] * 4, "step": [0, 2, 0, 2, 0, 2, 0, 1], "clip": np.arange(8.0)}
    candidate = {"candidate": [0, 0, 1, 1] * 2} if named else {}
    said = "condition 'a', candidate 1 does not" if named else "condition 'a' does not"
    assert f"{said} reach step 2, as others do" in refused(tmp_path, steps | candidate)
    pq.write_table(pa.table({**steps, **candidate, "step": [0, 1] * 4}), tmp_path / "even.parquet")
    assert read_pool(tmp_path / "even.parquet").scores["clip"].tolist() == [[5, 7], [1, 3]]


def test_a_condition_without_a_scored_candidate_is_counted(tmp_path, capsys):
    nan = float("nan")
    columns = {"condition": list("aabbccdd"), "clip": [1.0, 2, nan, nan, 3, 4, nan, nan]}
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    assert read_pool(tmp_path / "table.parquet").lost == 2
    assert main(["report", "--pool", str(tmp_path / "table.parquet")]) == 0
    assert "2 conditions left out, where no candidate has all scores" in " ".join(capsys.readouterr().out.split())


def test_shares_of_none_have_an_interval_as_shares_of_all_do():
    none, every = np.zeros((20, 4)), np.ones((20, 4))
    pool = Pool({"accuracy": none, "clip": np.random.default_rng(0).standard_normal((20, 4))})
    nothing = [row.interval for row in best_of_n_rows(pool) if row.value == "accuracy"]
    (all_, *_) = best_of_n_rows(Pool({"accuracy": every}))
    assert len(nothing) == 3 * 3  # the ensemble's as well
    assert all((each.low, each.high) == (0, pytest.approx(1 - all_.interval.low)) for each in nothing)


def test_of_scores_on_the_way_the_last_ones_are_the_pool(tmp_path):
    table = pa.table({"condition": [0] * 4, "candidate": [0, 0, 1, 1], "step": [0, 1, 0, 1], "clip": [9.0, 1, 8, 2]})
    pq.write_table(table, tmp_path / "steps.parquet")
    pool = read_pool(tmp_path / "steps.parquet")
    assert list(pool.scores) == ["clip"] and pool.scores["clip"].tolist() == [[1.0, 2.0]]


def test_categoricals_of_pandas_are_read_as_what_they_say(scores):
    table, plain = pq.read_table(scores), read_pool(scores)
    table = table.set_column(0, "condition", table["condition"].dictionary_encode())
    table = table.append_column("model", pa.array(["a"] * len(table)).dictionary_encode())
    table = table.set_column(2, "clip", table["clip"].dictionary_encode())
    pq.write_table(table, scores)
    pool = read_pool(scores)
    assert list(pool.scores) == list(plain.scores)
    for name, values in plain.scores.items():
        np.testing.assert_array_equal(pool.scores[name], values)


@pytest.mark.parametrize(
    ("column", "line"),
    [
        (["x", None, "y", None], "has 2 of 4 rows without 'condition'"),
        ([1.0, float("nan"), 2.0, 2.0], "has 1 of 4 rows without 'condition'"),
        (pa.array(["x", None, "y", "y"]).dictionary_encode(), "has 1 of 4 rows without 'condition'"),
        ([["x"], ["x"], ["y"], ["y"]], "has 'condition' of type list<.*>; numbers or words are needed"),
    ],
    ids=["null", "nan", "categorical", "list"],
)
def test_a_row_of_no_condition_is_refused(tmp_path, column, line):
    pq.write_table(pa.table({"condition": column, "clip": [1.0, 2.0, 3.0, 4.0]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=line):
        read_pool(tmp_path / "a.parquet")
