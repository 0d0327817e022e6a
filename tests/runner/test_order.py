"""order=budget: small budgets of all conditions first, and in the end the same as order=conditions."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from studies import study

import scaling
from scaling.metrics.inception_score import InceptionScore
from scaling.output import tables as curve
from scaling.protocols import Condition, Search
from scaling.runner.study import Study
from scaling.search.paths import Paths
from scaling.search.random import Random
from scaling.search.steps import Steps
from scaling.search.zero_order import ZeroOrder

SEARCHES: list[Search] = [Random(), ZeroOrder(), Paths(width=1), Steps()]
SAME = ("curve.csv", "winners.parquet", "replicates.parquet")


class Far:
    """Picks over the whole set: the candidate that is furthest from zero."""

    feature = "pixels.features"

    def select(
        self, features: np.ndarray, candidates: int | None = None, conditions: Sequence[Condition] = ()
    ) -> torch.Tensor:
        return torch.from_numpy(np.square(features[:, :candidates]).sum(-1).argmax(1))


def metrics() -> dict[str, InceptionScore]:
    return {"inception_score": InceptionScore(classes=2, feature="pixels.logits")}


def counts(folder: Path) -> list[tuple[float, int]]:
    """Candidates and conditions of every point of the curve, as it is now."""
    with open(folder / "curve.csv") as file:
        return [(float(row["candidates"]), int(row["conditions"])) for row in csv.DictReader(file)]


def paid(folder: Path) -> dict[str, int]:
    return json.loads((folder / "cost.json").read_text())["paid"]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: type(s).__name__)
def test_both_orders_end_in_the_same_files(tmp_path: Path, search: Search) -> None:
    first = scaling.run(study(tmp_path / "conditions", search=search, metrics=metrics()))
    second = scaling.run(study(tmp_path / "budget", search=search, metrics=metrics(), order="budget"))
    for name in SAME:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    for name in ("nfe", "backwards"):
        assert paid(first)[name] == paid(second)[name]
    for folder in ("samples", "candidates"):
        files = [sorted(p.relative_to(run) for p in (run / folder).rglob("*.p*")) for run in (first, second)]
        assert files[0] == files[1]
        assert all((first / path).read_bytes() == (second / path).read_bytes() for path in files[0])


def test_every_rung_has_all_conditions_before_the_next_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[tuple[float, int]]] = []
    write = curve.write_curve

    def watched(folder: Path, *rest: object) -> None:
        write(folder, *rest)  # type: ignore[arg-type]
        seen.append(counts(folder))

    monkeypatch.setattr(curve, "write_curve", watched)
    scaling.run(study(tmp_path, order="budget"))
    rungs = [(candidates, 20) for candidates in (1.0, 2.0, 4.0, 8.0)]
    assert seen == [rungs[:k] for k in (1, 2, 3, 4)]


def test_a_run_that_was_stopped_between_rungs_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scaling.run(study(tmp_path / "whole"))
    small = study(tmp_path / "stopped", order="budget")
    write = curve.write_curve

    def stop(folder: Path, parts: list[Path], rungs: list[int], *rest: object) -> None:
        write(folder, parts, rungs, *rest)  # type: ignore[arg-type]
        if len(rungs) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(curve, "write_curve", stop)
    with pytest.raises(KeyboardInterrupt):
        scaling.run(small)
    assert [candidates for candidates, _ in counts(small.folder)] == [1.0, 2.0]
    assert not json.loads((small.folder / "cost.json").read_text())["done"]
    monkeypatch.setattr(curve, "write_curve", write)
    scaling.run(dataclasses.replace(small, order="conditions"))  # the other order may take over, too
    assert (small.folder / "curve.csv").read_bytes() == (whole / "curve.csv").read_bytes()
    assert paid(small.folder)["nfe"] == paid(whole)["nfe"]


def test_a_selector_over_the_whole_set_picks_the_same(tmp_path: Path) -> None:
    def run(order: str) -> Study:
        return study(tmp_path / order, selector=Far(), order=order)

    folders = [scaling.run(run(order)) for order in ("conditions", "budget")]
    assert folders[0].joinpath("curve.csv").read_bytes() == folders[1].joinpath("curve.csv").read_bytes()
    rows = [np.load(folder / "selection.npz")["rows"] for folder in folders]
    assert (rows[0] == rows[1]).all() and len(Counter(rows[0].ravel().tolist())) > 1


def test_an_order_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="order='rungs' is none of conditions, budget"):
        study(tmp_path, order="rungs")
