"""The gate before a study: what is known without search is measured, and stops the study where it is off."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from studies import study

import scaling
from scaling.config.build import study_of
from scaling.config.compose import grid
from scaling.metrics.inception_score import InceptionScore
from scaling.protocols import Search
from scaling.runner.calibration import Calibration
from scaling.search.random import Random
from scaling.search.zero_order import ZeroOrder


def gated(folder: Path, expected: Any, tolerance: float = 1e-6, conditions: int | None = None, **changes: Any) -> Any:
    calibration = Calibration({"toward": {"expected": expected, "tolerance": tolerance}}, conditions)
    return study(folder, calibration=calibration, **changes)


def first_point(folder: Path) -> float:
    with open(folder / "curve.csv") as file:
        return next(float(row["value"]) for row in csv.DictReader(file) if row["metric"] == "toward")


def nfe(folder: Path) -> int:
    return int(json.loads((folder / "cost.json").read_text())["paid"]["nfe"])


def gates(folder: Path) -> list[Path]:
    return sorted(path.parent for path in (folder / "calibration").glob("*/curve.csv"))


def test_the_expected_value_lets_the_study_run_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    plain = scaling.run(study(tmp_path / "plain"))
    folder = scaling.run(gated(tmp_path / "gated", first_point(plain)))
    assert (folder / "curve.csv").read_bytes() == (plain / "curve.csv").read_bytes()
    (gate,) = gates(tmp_path / "gated")
    assert nfe(gate) == 20 * 4
    assert nfe(gate) + nfe(folder) == nfe(plain)


def test_a_mismatch_stops_the_study_and_says_what_to_check(tmp_path: Path) -> None:
    measured = first_point(scaling.run(study(tmp_path / "plain")))
    run = gated(tmp_path / "gated", measured + 1, tolerance=0.5)
    with pytest.raises(ValueError) as error:
        scaling.run(run)
    words = str(error.value)
    assert f"without search toward is {measured:.4g}, expected {measured + 1:g} within 0.5" in words
    for part in ("guidance_scale=1", "Euler, 4 NFE", "VAE", "weights", "reference statistics", "conditions (20)"):
        assert part in words
    assert not (run.folder / "curve.csv").exists()


def test_once_what_was_expected_is_mended_it_is_judged_anew_from_what_is_kept(tmp_path: Path) -> None:
    def run(expected: float) -> Any:
        metric = InceptionScore(classes=2, feature="pixels.logits")
        known = Calibration({"score": {"expected": expected, "tolerance": 1e-9}})
        return study(tmp_path, metrics={"score": metric}, calibration=known)

    with pytest.raises(ValueError, match="without search score is"):
        scaling.run(run(1.0))
    (gate,) = gates(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (gate / "blocks").iterdir()}
    with open(gate / "curve.csv", newline="") as file:
        (measured,) = (float(row["value"]) for row in csv.DictReader(file) if row["metric"] == "score")
    scaling.run(run(measured))
    assert {path: path.stat().st_mtime_ns for path in (gate / "blocks").iterdir()} == before


def test_runs_of_any_search_share_one_gate(tmp_path: Path) -> None:
    searches: list[Search] = [Random(), ZeroOrder(), ZeroOrder(neighbors=4)]
    for k, search in enumerate(searches):
        scaling.run(gated(tmp_path, 0.0, tolerance=1e9, search=search, run=f"run{k}"))
    assert len(gates(tmp_path)) == 1


def test_it_may_take_the_first_conditions_alone(tmp_path: Path) -> None:
    scaling.run(gated(tmp_path, 0.0, tolerance=1e9, conditions=5))
    (gate,) = gates(tmp_path)
    assert nfe(gate) == 5 * 4


def test_a_value_that_is_known_at_another_guidance_scale_gates_nothing(tmp_path: Path) -> None:
    scaling.run(gated(tmp_path / "unknown", {1.5: 1e9}))
    assert not gates(tmp_path / "unknown")
    with pytest.raises(ValueError, match="expected 1e\\+09"):
        scaling.run(gated(tmp_path / "known", {"1.0": 1e9}))  # json turns the keys of a worker's configuration to text


def test_what_it_cannot_measure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"metrics.towards is no metric of this study; did you mean toward\?"):
        study(tmp_path, calibration=Calibration({"towards": {"expected": 1, "tolerance": 1}}))
    with pytest.raises(ValueError, match="conditions=21, and the study has 20"):
        gated(tmp_path, 1.0, conditions=21)
    with pytest.raises(ValueError, match="must say expected and tolerance"):
        Calibration({"fid": {"expected": 1}})
    with pytest.raises(ValueError, match="tolerance=0 must be above 0"):
        Calibration({"fid": {"expected": 1, "tolerance": 0}})


def test_an_unknown_metric_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    node = "calibration={metrics: {fidd: {expected: 8.84, tolerance: 0.3}}}"
    ((config, said),) = grid(["model=sit_xl", f"output_dir={tmp_path}", node])
    with pytest.raises(ValueError, match=r"fidd is no metric of this study; did you mean fid\?"):
        study_of(config, said)  # else the first error would be that there are no reference statistics
    ((config, said),) = grid(["model=sit_xl", f"output_dir={tmp_path}", "calibration={metric: fid}"])
    with pytest.raises(ValueError, match="calibration.metric is no key of it"):
        study_of(config, said)


@pytest.mark.parametrize("figure", ["01", "03", "04", "05", "06", "10", "11", "12", "13", "14"])
def test_the_papers_presets_are_gated_at_every_guidance_scale_and_it_decides_no_folder(figure: str) -> None:
    for config, _ in grid([f"experiment=paper/fig{figure}"]):
        calibration = Calibration(**config["calibration"])
        assert calibration.conditions == config["conditions"]["count"] == 50_000
        calibration.check(config["metrics"]["set"], 50_000)
        expected = calibration.expected(config["model"]["guidance_scale"])
        assert expected
        if config["choices"]["model"] == "sit_xl" and config["model"]["guidance_scale"] == 1:
            assert expected["fid"][0] == 8.84 and expected["inception_score"][0] == 115
