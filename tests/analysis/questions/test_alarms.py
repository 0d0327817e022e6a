from types import SimpleNamespace

import numpy as np
import pytest
from folders import make_run

from scaling.analysis.questions.alarms import alarms
from scaling.analysis.runs.folder import open_run

RUNGS = 7


class Scores:
    """A run of given per-sample scores and set metrics, rungs by conditions and rungs by groups."""

    has_winners = True

    def __init__(self, per_sample, sets=None, search="random"):
        self._scores, self._sets = per_sample, sets or {}
        self.per_sample_metrics, self.set_metrics = tuple(per_sample), tuple(self._sets)
        self.identity = SimpleNamespace(verifier="guide", metric="guide", search=search)

    def series(self, metric):
        values = self._sets[metric][0] if metric in self._sets else self._scores[metric].mean(axis=1)
        points = enumerate(values)
        return tuple(SimpleNamespace(rung=rung, nfe=20 * 2.0**rung, value=float(value)) for rung, value in points)

    def per_sample(self, metric):
        return self._scores[metric]

    def replicates(self, metric):
        return self._sets[metric][1]


def best_of(rng, conditions=300):
    """The guiding score of a nested best of 1, 2, 4, ..., and which candidate each rung keeps."""
    pool = rng.standard_normal((conditions, 2 ** (RUNGS - 1)))
    picks = np.array([pool[:, : 2**rung].argmax(axis=1) for rung in range(RUNGS)])
    return np.take_along_axis(pool.T, picks, axis=0), picks


def test_over_optimization_is_found_where_it_starts():
    rng = np.random.default_rng(0)
    guide, _ = best_of(rng)
    true = np.minimum(guide, 1.0) - 0.5 * np.maximum(guide - 1.0, 0) + 0.1 * rng.standard_normal(guide.shape)
    (alarm,) = alarms(Scores({"guide": guide, "truth": true}))
    means = true.mean(axis=1)
    assert (alarm.kind, alarm.metric) == ("over-optimized", "truth")
    assert alarm.peak_nfe == 20 * 2.0 ** means.argmax()
    assert alarm.peak_nfe < alarm.start_nfe <= 20 * 2.0 ** (RUNGS - 1)
    assert "over-optimized from" in alarm.words
    assert "guide, which guides the search, rose" in alarm.words


@pytest.mark.parametrize(("search", "found"), [("random", 2), ("steps", 0), ("none", 0)])
def test_nothing_is_over_optimized_where_nothing_is_searched(search, found):
    rng = np.random.default_rng(4)
    rising, falling = (sign * np.arange(RUNGS)[:, None] + rng.standard_normal((RUNGS, 50)) for sign in (1, -1))
    recall = np.linspace(0.7, 0.4, RUNGS)
    sets = {"recall": (recall, recall[:, None] + 0.002 * rng.standard_normal((RUNGS, 20)))}
    assert len(alarms(Scores({"guide": rising, "truth": falling}, sets, search))) == found


def test_no_false_alarms():
    false = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        guide, picks = best_of(rng, 100)
        unrelated = np.take_along_axis(rng.standard_normal((2 ** (RUNGS - 1), 100)), picks, axis=0)
        false += bool(alarms(Scores({"guide": guide, "other": unrelated})))
    assert false / 300 <= 0.05


def test_a_rising_score_raises_no_alarm(tmp_path):
    run = open_run(make_run(tmp_path, conditions=300))
    assert [alarm for alarm in alarms(run) if alarm.kind == "over-optimized"] == []


def test_fid_that_turns_is_narrowing(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 2, 4, 8, 16, 32), conditions=4000, sets=("fid",)))
    (alarm,) = alarms(run)
    assert (alarm.kind, alarm.metric) == ("narrowed", "fid")
    assert alarm.before == min(point.value for point in run.series("fid"))
    assert "FID rose from" in alarm.words


def test_falling_recall_is_narrowing():
    guide, _ = best_of(np.random.default_rng(1))
    recall = np.linspace(0.7, 0.4, RUNGS)
    replicates = recall[:, None] + 0.002 * np.random.default_rng(2).standard_normal((RUNGS, 20))
    (alarm,) = alarms(Scores({"guide": guide}, {"recall": (recall, replicates)}))
    assert (alarm.kind, alarm.peak_nfe, alarm.before, alarm.after) == ("narrowed", 20, 0.7, pytest.approx(0.4))


def test_what_falls_by_how_it_rounds_alone_raises_no_alarm():
    guide, _ = best_of(np.random.default_rng(5))
    same = np.full(guide.shape, 0.3)
    same[1:, ::3] = 0.1 + 0.1 + 0.1 - 2**-53
    same[2:] -= 2**-53
    recall = np.full(RUNGS, 0.3) - 2**-53 * np.arange(RUNGS)
    replicates = recall[:, None] - 2**-54 * (np.arange(20) % 2)
    assert alarms(Scores({"guide": guide, "truth": same}, {"recall": (recall, replicates)})) == ()
    flat = np.full(guide.shape, 0.7)
    flat[1:] += 2**-53 * (np.arange(300) % 5 > 0)  # nor is it guided by what rises so
    falling = -np.arange(RUNGS)[:, None] + np.random.default_rng(6).standard_normal(guide.shape)
    assert alarms(Scores({"guide": flat, "truth": falling})) == ()
    constant = np.tile(-0.1 * np.arange(RUNGS)[:, None], (1, 300))  # it falls as much everywhere
    assert len(alarms(Scores({"guide": guide, "truth": constant}))) == 1


def test_without_a_rising_guide_there_is_no_alarm(tmp_path):
    rng = np.random.default_rng(3)
    falling = -np.arange(RUNGS)[:, None] + rng.standard_normal((RUNGS, 50))
    flat = np.tile(rng.standard_normal(50), (RUNGS, 1))
    assert alarms(Scores({"guide": flat, "truth": falling})) == ()


def test_runs_of_one_rung_or_of_curves_alone_have_none(tmp_path):
    assert alarms(open_run(make_run(tmp_path, "one", ladder=(1,), conditions=20))) == ()
    path = make_run(tmp_path, "curve", conditions=20)
    (path / "winners.parquet").unlink()
    assert alarms(open_run(path)) == ()
