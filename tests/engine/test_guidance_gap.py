"""Halving by the guidance gap under the runner: no judge and no decoding before the last leg."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from studies import mixture, study
from torch import Tensor

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.models.dit import guidance_gap
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.protocols import Encoded, Prediction
from scaling.schedules import Flow
from scaling.search.halving import Halving


class Guided(GaussianMixture):
    """The mixture, which says that it is guided, and its first entry's square as the gap."""

    forwards_per_call = 2
    guidance_scale = 2.0

    def __call__(self, x: Tensor, t: Tensor, encoded: Encoded) -> Prediction:
        return super().__call__(x, t, encoded)._replace(gap=x.flatten(1)[:, 0].square())


def options(denoiser: GaussianMixture, **settings: object) -> dict[str, object]:
    return {
        "denoiser": denoiser,
        "search": Halving(by="guidance_gap", rungs=(0.5,), **settings),  # type: ignore[arg-type]
        "budget": Budget(nfes_per_iter=8, nfe=[40, 80]),
        "conditions": ClassLabels(count=3, classes=2),
        "extractors": {},
        "samples": 0,
    }


def test_what_is_pruned_is_neither_decoded_nor_judged(tmp_path: Path) -> None:
    guided = Guided([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2))
    folder = scaling.run(study(tmp_path, batch_size=1, **options(guided, keep=0.25)))
    paid = json.loads((folder / "cost.json").read_text())["paid"]
    sizes = [(8, 2), (16, 4)]  # started and finished, 4 steps each: 40 and 80 NFE
    assert paid["nfe"] == 3 * sum(4 * started + 4 * finished for started, finished in sizes)
    with (folder / "curve.csv").open() as file:
        assert {float(row["decodes"]) for row in csv.DictReader(file)} == {finished for _, finished in sizes}


def test_without_guidance_it_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a model that runs guidance"):
        study(tmp_path, **options(mixture()))


def test_a_model_that_keeps_its_gap_to_itself_is_named(tmp_path: Path) -> None:
    silent = mixture()
    silent.forwards_per_call = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="does not hand it over"):
        scaling.run(study(tmp_path, **options(silent)))


def test_the_gap_is_that_of_the_noise() -> None:
    one, other, t = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([0.5])
    assert float(guidance_gap(one, other, t, Flow(), "eps")) == 2.0
    assert float(guidance_gap(one, other, t, Flow(), "velocity")) == 0.5  # eps = x + alpha velocity, alpha = 0.5
