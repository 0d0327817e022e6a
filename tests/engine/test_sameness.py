"""The tiers of sameness: noises everywhere, curves at one batch shape, scores within a tolerance otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from studies import Pixels, study

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.metrics.inception_score import InceptionScore
from scaling.models.dit import DiT
from scaling.search.random import Random
from scaling.search.zero_order import ZeroOrder
from scaling.verifiers.classifier import Classifier


def metrics() -> dict[str, InceptionScore]:
    return {"inception_score": InceptionScore(classes=2, feature="pixels.logits")}


@pytest.mark.parametrize("search", [Random(), ZeroOrder()], ids=lambda s: type(s).__name__)
def test_curve_does_not_depend_on_how_conditions_are_grouped(tmp_path: Path, search: object) -> None:
    curves = {
        size: (
            scaling.run(study(tmp_path / str(size), search=search, block_size=size, metrics=metrics())) / "curve.csv"
        ).read_text()
        for size in (1, 7, 20)
    }
    assert curves[1] == curves[7] == curves[20]


def test_a_condition_is_the_same_in_a_larger_study(tmp_path: Path) -> None:
    few = pq.read_table(scaling.run(study(tmp_path / "few")) / "winners.parquet")
    more = scaling.run(study(tmp_path / "more", conditions=ClassLabels(count=33, classes=2)))
    table = pq.read_table(more / "winners.parquet")
    kept = table.filter(np.asarray(table["condition"]) < 20)
    order = [("rung", "ascending"), ("condition", "ascending")]
    assert kept.sort_by(order).equals(few.sort_by(order))


def fashion(folder: Path, batch_size: int, threads: int = 1, block_size: int = 6) -> Path:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return scaling.run(
            study(
                folder,
                denoiser=DiT(path="fashion_s", device="cpu"),
                verifier=Classifier(device="cpu"),
                conditions=ClassLabels(count=6, classes=10),
                budget=Budget(nfes_per_iter=4, candidates=[1, 2, 4, 8]),
                extractors={"pixels": Pixels()},
                batch_size=batch_size,
                block_size=block_size,
            )
        )
    finally:
        torch.set_num_threads(before)


def test_threads_and_groups_change_no_bit_at_one_batch_shape(tmp_path: Path) -> None:
    one = (fashion(tmp_path / "1", 16, threads=1) / "curve.csv").read_text()
    assert (fashion(tmp_path / "2", 16, threads=2) / "curve.csv").read_text() == one
    assert (fashion(tmp_path / "3", 16, block_size=4) / "curve.csv").read_text() == one


def test_batch_shapes_agree_within_a_tolerance(tmp_path: Path) -> None:
    tables = {}
    for size in (1, 7, 64):
        folder = fashion(tmp_path / str(size), size)
        tables[size] = np.asarray(pq.read_table(folder / "candidates")["search/classifier"])
    assert np.abs(tables[1] - tables[64]).max() < 1e-4
    assert np.abs(tables[7] - tables[64]).max() < 1e-4
    best = {size: scores.reshape(6, 8).argmax(1) for size, scores in tables.items()}
    for size in (1, 7):
        for condition in np.flatnonzero(best[size] != best[64]):  # only between near-ties may the winner change
            top = np.sort(tables[64].reshape(6, 8)[condition])
            assert top[-1] - top[-2] < 1e-4
