"""Predicted cost = counted cost, for every solver and guidance setting."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from studies import study

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.models.dit import DiT
from scaling.sampling import RK4, Euler, Heun, Sampler
from scaling.search.random import Random


def curve(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "curve.csv").open()))


@pytest.mark.parametrize("sampler", [Euler(), Heun(), RK4()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
@pytest.mark.parametrize("final_nfe", [4, 8])
def test_forwards_of_the_network_are_the_ledgers(
    tmp_path: Path, sampler: Sampler, guidance_scale: float, final_nfe: int
) -> None:
    denoiser = DiT(path="fashion_s", guidance_scale=guidance_scale, device="cpu")
    rows = 0

    def count(module: object, args: tuple[object, ...], kwargs: dict[str, object], output: object) -> None:
        nonlocal rows
        rows += len(kwargs["hidden_states"]) if "hidden_states" in kwargs else len(args[0])  # type: ignore[arg-type]

    handle = denoiser.network.register_forward_hook(count, with_kwargs=True)
    conditions = ClassLabels(count=4, classes=10)
    budget = Budget(nfes_per_iter=4, final_nfe=final_nfe, candidates=[1, 2])
    folder = scaling.run(
        study(
            tmp_path,
            denoiser=denoiser,
            conditions=conditions,
            sampler=sampler,
            budget=budget,
            extractors={},
            batch_size=1,
            block_size=4,
        )
    )
    handle.remove()
    top = curve(folder)[-1]
    winners = 4 if final_nfe == 4 else distinct_winners(folder)
    solved = (0 if final_nfe == 4 else winners * final_nfe) + 4 * 2 * 4
    assert rows == solved * denoiser.forwards_per_call
    assert float(top["forwards"]) == denoiser.forwards_per_call * float(top["nfe"])
    assert float(top["search_nfe"]) == 8
    assert float(top["final_nfe"]) == (0 if final_nfe == 4 else final_nfe)


def distinct_winners(folder: Path) -> int:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "winners.parquet")
    return len(set(zip(table["condition"].to_pylist(), table["candidate"].to_pylist(), strict=True)))


def test_every_rung_costs_what_it_would_cost_alone(tmp_path: Path) -> None:
    ladder = curve(scaling.run(study(tmp_path / "ladder")))
    for candidates in (1, 2, 4, 8):
        budget = Budget(nfes_per_iter=4, candidates=candidates)
        alone = curve(scaling.run(study(tmp_path / str(candidates), budget=budget)))
        rung = [row for row in ladder if float(row["candidates"]) == candidates]
        assert [{**row, "rung": rung[0]["rung"]} for row in alone] == rung


def test_a_budget_that_does_not_fit_exactly_is_not_overspent(tmp_path: Path) -> None:
    rows = curve(scaling.run(study(tmp_path, search=Random(), budget=Budget(nfes_per_iter=4, nfe=[5, 15]))))
    assert [float(row["search_nfe"]) for row in rows] == [4, 12]


def test_scores_decodes_and_calls_are_charged_per_candidate(tmp_path: Path) -> None:
    top = curve(scaling.run(study(tmp_path, budget=Budget(nfes_per_iter=4, final_nfe=8, candidates=[8]))))[-1]
    assert (float(top["decodes"]), float(top["verifier_calls"])) == (9, 8)
