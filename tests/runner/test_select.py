"""Selectors: winners picked afterwards, from what a random stream recorded."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import rankdata
from studies import Toward, study

import scaling
from scaling import mode
from scaling.metrics.fid import FID
from scaling.metrics.fid_oracle import FIDOracle
from scaling.protocols import RankSelector
from scaling.search.zero_order import ZeroOrder
from scaling.verifiers.ensemble import MeanRank
from scaling.verifiers.modal import Modal
from scaling.verifiers.soft import Soft


@pytest.fixture
def reference(tmp_path: Path) -> str:
    rows = torch.randn(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.1 + 0.6
    path = tmp_path / "reference.npz"
    np.savez(path, mean=rows.mean(0), covariance=np.cov(rows.T), count=500, features=rows.float())
    return str(path)


def curve(folder: Path, metric: str) -> list[float]:
    return [float(r["value"]) for r in csv.DictReader((folder / "curve.csv").open()) if r["metric"] == metric]


def test_ranks_are_taken_anew_within_every_budget(tmp_path: Path) -> None:
    folder = scaling.run(study(tmp_path, scorers={"dark": Toward(0.1)}, selector=MeanRank()))
    table = pq.read_table(folder / "candidates").to_pylist()
    for won in pq.read_table(folder / "winners.parquet").to_pylist():
        pool = [row for row in table if row["condition"] == won["condition"] and row["spent_nfe"] <= won["budget_nfe"]]
        ranks = sum(rankdata([-row[f"search/{name}"] for row in pool]) for name in ("toward", "dark"))
        assert won["candidate"] == pool[int(np.argmin(ranks))]["candidate"]


def test_the_fid_oracle_lowers_fid_and_is_the_same_again(tmp_path: Path, reference: str) -> None:
    def run(folder: Path, **changes: object) -> Path:
        oracle = FIDOracle(reference=reference, feature="pixels.features", batch=4, warmup=4, shortlist=8)
        fid = {"fid": FID(reference, feature="pixels.features")}
        return scaling.run(study(folder, metrics=fid, **{"selector": oracle, **changes}))

    folder = run(tmp_path / "a")
    fids = curve(folder, "fid")
    assert fids[0] > fids[1] > fids[3]
    assert fids[3] < curve(run(tmp_path / "guided", selector=None), "fid")[3]
    assert (run(tmp_path / "b", block_size=5) / "curve.csv").read_text() == (folder / "curve.csv").read_text()
    paid = json.loads((folder / "cost.json").read_text())["paid"]
    assert paid["nfe"] == 20 * 8 * 4


def test_the_mode_of_recorded_scores_costs_nothing(tmp_path: Path) -> None:
    scaling.run(study(tmp_path, run="best"))
    folder = scaling.run(study(tmp_path, run="modal", selector=Modal(width=0.05)))
    assert json.loads((folder / "cost.json").read_text())["paid"]["nfe"] == 0
    table = pq.read_table(folder / "candidates").to_pylist()
    differ = 0
    for won in pq.read_table(folder / "winners.parquet").to_pylist():
        pool = [row for row in table if row["condition"] == won["condition"] and row["spent_nfe"] <= won["budget_nfe"]]
        scores = np.array([row["search/toward"] for row in pool])
        assert won["candidate"] == pool[int(mode.heights(scores, scores, width=0.05).argmax())]["candidate"]
        differ += won["candidate"] != pool[int(scores.argmax())]["candidate"]
    assert differ > 0


@pytest.mark.parametrize("selector", [Modal(name="bright"), Soft(name="bright"), MeanRank(names=["dark", "bright"])])
def test_a_scorer_that_nobody_records_is_named_before_anything_is_solved(
    tmp_path: Path, selector: RankSelector
) -> None:
    with pytest.raises(ValueError, match="wants the scores of bright; there are toward, dark"):
        study(tmp_path, scorers={"dark": Toward(0.1)}, selector=selector)


def test_a_selector_needs_an_open_loop_search(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not open-loop"):
        study(tmp_path, search=ZeroOrder(), selector=MeanRank())
