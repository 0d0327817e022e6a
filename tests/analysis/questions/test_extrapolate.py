from types import SimpleNamespace

import numpy as np
import pytest
from folders import make_run

from scaling.analysis.questions.extrapolate import extrapolate, fit, held_out_errors, turning_rung
from scaling.analysis.runs.folder import open_run
from scaling.statistics import Interval

X = np.array([20.0, 40, 80, 160, 320, 640, 1280])


@pytest.mark.parametrize("exponent", [0.2, 0.5, 1.0])
def test_a_saturating_power_law_is_found(exponent):
    y = 3 - 2 * (X / 20) ** -exponent
    assert fit("power", X, y)(np.array([10_000.0]))[0] == pytest.approx(3 - 2 * 500**-exponent, abs=0.02)


def test_a_logarithm_is_found():
    y = 1 + 0.3 * np.log(X)
    assert fit("log", X, y)(np.array([10_000.0]))[0] == pytest.approx(1 + 0.3 * np.log(10_000))


def test_held_out_errors_tell_the_laws_apart():
    rng = np.random.default_rng(0)
    power = held_out_errors(X, 3 - 2 * (X / 20) ** -0.7 + 0.002 * rng.standard_normal(7))
    log = held_out_errors(X, 1 + 0.3 * np.log(X) + 0.002 * rng.standard_normal(7))
    jump = held_out_errors(X, np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]))
    assert min(power, key=power.get) == "power"
    assert log["log"] < log["carry"] / 10
    assert min(jump, key=jump.get) == "carry"


def test_turns_are_seen_beyond_the_errors_alone():
    y = np.array([5.0, 4.0, 3.0, 3.5, 4.0])
    assert turning_rung(y, np.full(5, 0.05)) == 2
    assert turning_rung(np.array([5.0, 4.0, 3.0, 4.5, 6.0]), np.full(5, 0.05)) == 2
    assert turning_rung(y, np.full(5, 2.0)) is None
    assert turning_rung(np.array([1.0, 2.0, 3.0]), np.zeros(3)) is None


@pytest.mark.parametrize("seed", range(8))
def test_a_constant_neither_turns_nor_follows_a_law(tmp_path, seed):
    rounded = 0.3 + 2**-54 * np.random.default_rng(seed).integers(0, 3, 7)
    assert turning_rung(rounded, np.zeros(7)) is None
    assert turning_rung(np.append(rounded, 0.5), np.zeros(8)) is None
    run = SimpleNamespace(series=lambda metric: [SimpleNamespace(nfe=x) for x in X], idle=frozenset())
    bands = [Interval(y, y, y) for y in rounded.tolist()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scaling.analysis.questions.extrapolate.intervals", lambda runs, metric: bands)
        patch.setattr("scaling.analysis.questions.extrapolate.bought", lambda runs: range(7))
        assert extrapolate([run], "m").law == "carry"


def test_a_run_is_extrapolated_with_a_band(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 2, 4, 8, 16, 32), conditions=300))
    found = extrapolate([run], "classifier")
    assert found.law in ("log", "power")
    assert found.errors[found.law] < found.errors["carry"]
    assert found.nfe[-1] == pytest.approx(8 * 640)
    assert all(each.low < each.value < each.high for each in found.predicted)
    assert "held-out error" in found.words


def test_what_the_law_says_comes_true(tmp_path):
    whole = open_run(make_run(tmp_path, "long", ladder=(1, 2, 4, 8, 16, 32, 64), conditions=2000)).series("classifier")
    run = open_run(make_run(tmp_path, "short", ladder=(1, 2, 4, 8, 16, 32, 64)[:5], conditions=2000))
    found = extrapolate([run], "classifier", factor=4)
    assert abs(found.predicted[-1].value - whole[-1].value) < abs(run.series("classifier")[-1].value - whole[-1].value)


def test_turning_curves_are_refused(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 2, 4, 8, 16, 32), conditions=4000))
    with pytest.raises(ValueError, match=r"fid is not monotone \(it turns at"):
        extrapolate([run], "fid")


def test_short_curves_are_refused(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 2, 4), conditions=20))
    with pytest.raises(ValueError, match="has 3 rungs; an extrapolation needs 4"):
        extrapolate([run], "classifier")
