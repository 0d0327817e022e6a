"""Drafts: the search looks at another network's samples, winners are the model's own, and both are paid for."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from counted import Counted, model, sketch
from studies import Toward, study

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.runner.study import Study
from scaling.schedules import VariancePreserving
from scaling.search.dfs import Dfs
from scaling.search.random import Random
from scaling.search.steps import Steps
from scaling.search.zero_order import ZeroOrder

CONDITIONS = ClassLabels(count=12, classes=2)


def drafted(folder: Path, **changes: Any) -> Study:
    parts = {"denoiser": model(), "draft": sketch(), "conditions": CONDITIONS, "batch_size": 1, "samples": 0}
    return study(folder, **{**parts, "extractors": {}, **changes})


def curve(folder: Path) -> list[dict[str, str]]:
    return [row for row in csv.DictReader((folder / "curve.csv").open()) if row["metric"] == "toward"]


def winners(folder: Path) -> dict[tuple[int, int], tuple[int, float, float]]:
    table = pq.read_table(folder / "winners.parquet").to_pydict()
    keys = zip(table["rung"], table["condition"], strict=True)
    return dict(
        zip(keys, zip(table["candidate"], table["search/toward"], table["toward"], strict=True), strict=True)
    )  # fmt: skip


@pytest.mark.parametrize("search", [Random(), ZeroOrder()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize(("final_nfe", "start"), [(4, None), (8, None), (8, 0.7), (4, 0.5)])
def test_every_forward_is_counted_as_predicted(
    tmp_path: Path, search: Any, final_nfe: int, start: float | None
) -> None:
    budget = Budget(nfes_per_iter=4, final_nfe=final_nfe, candidates=[3], final_from=start)
    run = drafted(tmp_path, search=search, budget=budget)
    (row,) = curve(scaling.run(run))
    count = len(CONDITIONS)
    ahead = 0 if start is None else {0.7: 1, 0.5: 2}[start]  # steps of the draft before: grid 1, 0.75, 0.5, 0.25, 0
    solved = final_nfe * (4 - ahead) // 4
    assert run.draft.rows["forward"] == count * (3 * 4 + ahead)
    assert run.denoiser.rows["forward"] == count * solved
    assert float(row["search_nfe"]) == 12
    assert float(row["final_nfe"]) == ahead + solved
    assert float(row["forwards"]) == 12 + ahead + solved
    assert float(row["decodes"]) == 3 + 1
    flops = (12 + ahead) * run.draft.gflops() + solved * run.denoiser.gflops()
    assert float(row["gflops"]) == pytest.approx(flops)
    assert float(row["total_gflops"]) == pytest.approx(flops)


def test_winners_are_those_of_the_draft_and_their_samples_the_models(tmp_path: Path) -> None:
    budget = Budget(nfes_per_iter=4, candidates=[1, 4])
    run = winners(scaling.run(drafted(tmp_path / "draft", budget=budget)))
    alone = winners(scaling.run(study(tmp_path / "alone", denoiser=sketch(), conditions=CONDITIONS, budget=budget)))
    assert {key: value[:2] for key, value in run.items()} == {key: value[:2] for key, value in alone.items()}
    own = winners(scaling.run(study(tmp_path / "own", denoiser=model(), conditions=CONDITIONS, budget=budget)))
    first = [(run[0, i][2], own[0, i][2]) for i in range(len(CONDITIONS))]  # the same one noise
    np.testing.assert_allclose(*zip(*first, strict=True), rtol=1e-5)


def test_a_draft_that_is_the_model_itself_changes_no_winner_and_no_sample(tmp_path: Path) -> None:
    plain = winners(scaling.run(study(tmp_path / "plain", denoiser=model(), conditions=CONDITIONS)))
    for start in (None, 0.5):
        budget = Budget(nfes_per_iter=4, candidates=[1, 2, 4, 8], final_from=start)
        same = winners(scaling.run(drafted(tmp_path / str(start), draft=model(), budget=budget, batch_size=16)))
        assert {key: value[0] for key, value in same.items()} == {key: value[0] for key, value in plain.items()}
        np.testing.assert_allclose([v[2] for v in same.values()], [v[2] for v in plain.values()], rtol=1e-4)


def test_the_search_is_that_of_the_draft_alone_and_is_paid_once(tmp_path: Path) -> None:
    alone = drafted(tmp_path, denoiser=sketch(), draft=None, run="alone")
    scaling.run(alone)
    run = drafted(tmp_path)
    scaling.run(run)
    assert run.draft.rows["forward"] == 0
    assert run.denoiser.rows["forward"] > 0
    again = drafted(tmp_path, run="again")
    scaling.run(again)
    assert again.denoiser.rows["forward"] == again.draft.rows["forward"] == 0


def test_another_draft_or_start_is_another_run(tmp_path: Path) -> None:
    scaling.run(drafted(tmp_path))
    for change in (
        {"draft": None},
        {"denoiser": sketch()},
        {"budget": Budget(4, candidates=[1, 2, 4, 8], final_from=0.5)},
    ):
        with pytest.raises(ValueError, match="holds another run"):
            scaling.run(drafted(tmp_path, **change))


def test_how_well_drafts_rank_is_recorded(tmp_path: Path) -> None:
    said = json.loads((scaling.run(drafted(tmp_path / "draft")) / "cost.json").read_text())["draft"]
    rows = {(i, k): (s, f) for (_, i), (k, s, f) in winners(tmp_path / "draft" / "study" / "run").items()}
    from scipy.stats import spearmanr

    assert said["rank_correlation"] == pytest.approx(spearmanr(*zip(*rows.values(), strict=True)).statistic)
    assert said["winners"] == len(rows)
    assert json.loads((scaling.run(study(tmp_path / "none")) / "cost.json").read_text())["draft"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": Steps()}, "ends with samples of its own"),
        ({"draft": GaussianMixture([[0.0, 0.0, 0.0]], 1.0)}, r"latents of shape \[3\], the model \[1, 1, 2\]"),
        ({"draft": Counted([[0.0, 0.0]], schedule=VariancePreserving.linear_betas())}, "another noise schedule"),
        ({"draft": None, "budget": Budget(4, candidates=2, final_from=0.5)}, "goes on from a draft"),
    ],
)
def test_what_cannot_be_a_draft_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drafted(tmp_path, **changes)


def test_a_leg_of_a_search_goes_on_from_where_it_began(tmp_path: Path) -> None:
    budget = Budget(nfes_per_iter=4, final_nfe=8, nfe=[40], final_from=0.9)
    (row,) = curve(scaling.run(drafted(tmp_path, search=Dfs(), budget=budget, verifier=Toward())))
    assert 0 < float(row["final_nfe"]) <= 8
    assert torch.isfinite(torch.tensor(float(row["value"])))
