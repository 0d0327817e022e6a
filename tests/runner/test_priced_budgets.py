"""Ladders in GFLOPs and in seconds: what a rung buys is predicted by prices, and counted when it was run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from configs import built
from studies import mixture, study

import scaling
from scaling.budget import Budget, Prices
from scaling.conditions.class_labels import ClassLabels
from scaling.config.compose import grid
from scaling.config.outline import outline_of
from scaling.models.dit import DiT
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.runner.calibration import Calibration
from scaling.search.paths import Paths
from scaling.search.random import Random
from scaling.search.zero_order import ZeroOrder


def rows(folder: Path) -> list[dict[str, str]]:
    first = None
    found = []
    for row in csv.DictReader((folder / "curve.csv").open()):
        first = first or row["metric"]
        if row["metric"] == first:
            found.append(row)
    return found


def clothes(folder: Path, **changes: Any) -> Any:
    parts = {
        "denoiser": DiT(path="fashion_s", device="cpu"), "verifier": built("verifier", "classifier"),
        "conditions": ClassLabels(count=2, classes=10), "extractors": {}, "samples": 0,
    }  # fmt: skip
    return study(folder, **{**parts, **changes})


@pytest.mark.parametrize("search", [Random(), ZeroOrder(), Paths()], ids=lambda s: type(s).__name__)
def test_a_rung_costs_what_it_may_and_one_step_more_would_not_fit(tmp_path: Path, search: Any) -> None:
    budget = Budget(nfes_per_iter=2, final_nfe=4, gflops=[0.2, 0.7])
    run = clothes(tmp_path, search=search, budget=budget)
    prices = run.prices()
    found = rows(scaling.run(run))  # the first rung is too low for paths
    for cap, row in zip(budget.caps[-len(found) :], found, strict=True):
        final = float(row["final_nfe"]) * prices.forward  # and comes on top, as its decoding
        spent = float(row["total_gflops"]) - final - prices.decode
        assert spent <= cap
        own = prices.search(int(float(row["search_nfe"])), 0, int(float(row["verifier_calls"])))
        assert own == pytest.approx(spent)
        if not isinstance(search, Paths):
            assert spent + prices.search(2, 0, 1) * search_step(search) > cap


def search_step(search: Any) -> int:
    """Candidates of a proposal."""
    return search.neighbors if isinstance(search, ZeroOrder) else 1


def test_the_streams_are_those_of_a_ladder_in_nfe(tmp_path: Path) -> None:
    gflops = mixture().gflops()
    scaling.run(study(tmp_path, budget=Budget(nfes_per_iter=4, candidates=[1, 2, 4, 8]), run="nfe"))
    priced = study(tmp_path, budget=Budget(nfes_per_iter=4, gflops=[4 * gflops, 9 * gflops, 33 * gflops]), run="gflops")
    folder = scaling.run(priced)
    assert [float(row["candidates"]) for row in rows(folder)] == [1, 2, 8]
    assert json.loads((folder / "cost.json").read_text())["paid"]["nfe"] == 0


def test_rungs_that_buy_nothing_more_have_no_point(tmp_path: Path) -> None:
    gflops = mixture().gflops()
    budget = Budget(nfes_per_iter=4, gflops=[1 * gflops, 4 * gflops, 5 * gflops, 8 * gflops])
    assert [float(row["candidates"]) for row in rows(scaling.run(study(tmp_path, budget=budget)))] == [1, 2]
    with pytest.raises(ValueError, match=r"ends under what Random costs at least, [0-9.e-]+ a condition"):
        study(tmp_path, budget=Budget(nfes_per_iter=4, gflops=[gflops]))


def test_a_ladder_that_buys_nothing_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    class Free(GaussianMixture):
        prepared = 0

        def prepare(self, conditions: Any) -> None:
            self.prepared += 1

        def gflops(self) -> float:
            return 0.0

    model = Free([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2))
    with pytest.raises(ValueError, match=r"model=free counts 0.0 GFLOPs a forward"):
        study(tmp_path, denoiser=model, budget=Budget(nfes_per_iter=4, gflops=[1.0]))
    calibration = Calibration({"toward": {"expected": 0.0, "tolerance": 1.0}})
    priced = Prices(forward=1.0, verify=3.0)
    run = study(
        tmp_path, denoiser=model, budget=Budget(nfes_per_iter=4, seconds=[6.0]), seconds=priced, calibration=calibration
    )
    with pytest.raises(ValueError, match="at least, 7 a condition"):
        scaling.run(run)
    assert not list(tmp_path.rglob("curve.csv"))  # of the gate


def test_a_plan_refuses_it_by_the_architecture_alone(tmp_path: Path) -> None:
    (config, overrides), *_ = grid(["model=sit_xl", "budget.gflops=[1,50]", f"output_dir={tmp_path}"])
    with pytest.raises(ValueError, match=r"budget.gflops=\[1, 50\] ends under what Random costs at least, [0-9.e+]+ a"):
        outline_of(config, overrides, build_model=False)


def test_seconds_are_priced_once_and_the_run_keeps_its_prices(tmp_path: Path) -> None:
    priced = Prices(forward=1.0, decode=2.0, verify=3.0, encode=1.0)
    budget = Budget(nfes_per_iter=4, seconds=[10.0, 30.0])  # a candidate costs 4 + 2 + 3
    folder = scaling.run(study(tmp_path, budget=budget, seconds=priced))
    assert [float(row["candidates"]) for row in rows(folder)] == [1, 3]
    assert json.loads((folder / "environment.json").read_text())["prices"]["verify"] == 3.0
    (folder / "cost.json").unlink()
    scaling.run(study(tmp_path, budget=budget))  # reads what it was priced with
    assert [float(row["candidates"]) for row in rows(folder)] == [1, 3]
    few = ClassLabels(count=3, classes=2)
    measured = scaling.run(
        study(tmp_path / "measured", budget=Budget(nfes_per_iter=4, seconds=[0.05]), conditions=few, samples=0)
    )
    prices = Prices(**json.loads((measured / "environment.json").read_text())["prices"])
    (row,) = rows(measured)
    count = int(float(row["candidates"]))
    assert prices.search(4 * count, 0, count) <= 0.05 < prices.search(4 * (count + 1), 0, count + 1)
    assert len(json.loads((tmp_path / "measured" / "journal" / "prices.json").read_text())) == 1


@pytest.mark.parametrize(
    ("ladder", "message"),
    [
        ({}, "needs one of budget.nfe, budget.candidates, budget.gflops, budget.seconds, not none"),
        ({"nfe": 8, "gflops": 1.0}, "not nfe and gflops"),
        ({"gflops": [2.0, 1.0]}, "must rise"),
        ({"seconds": [0.0]}, "starts under"),
        ({"candidates": [1.5]}, "whole numbers"),
        ({"gflops": [1.0, float("inf")]}, "are numbers, not inf"),
        ({"seconds": [float("nan")]}, "are numbers, not nan"),
    ],
)
def test_what_is_no_ladder_is_refused(ladder: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(nfes_per_iter=4, **ladder)
