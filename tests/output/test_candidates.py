"""The table of candidates says where each came from and how far it moved."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies import mixture, study

import scaling
from scaling.analysis.runs.folder import Run
from scaling.budget import Budget
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.search.random import Random
from scaling.search.reno import Reno
from scaling.search.zero_order import ZeroOrder

WIDE = GaussianMixture([[-1.0] * 16, [1.0] * 16], 0.5, latent_shape=(1, 4, 4))


def cosines(folder: Path) -> list[float]:
    table = Run(folder).candidates
    return [
        cosine
        for cosine, parent in zip(*(table[n].to_pylist() for n in ("cosine", "parent")), strict=True)
        if parent >= 0
    ]


def test_neighbors_are_logged_at_the_cosine_asked_for(tmp_path: Path) -> None:
    search = ZeroOrder(neighbors=2, cosine=0.9, pivot="move")
    found = cosines(
        scaling.run(study(tmp_path, denoiser=WIDE, search=search, budget=Budget(nfes_per_iter=4, nfe=[28])))
    )
    assert len(found) == 20 * 6
    assert found == pytest.approx([0.9] * len(found), abs=1e-6)


def test_gradient_steps_are_logged_and_independent_noises_are_not(tmp_path: Path) -> None:
    climbed = cosines(scaling.run(study(tmp_path / "a", search=Reno(), budget=Budget(nfes_per_iter=4, nfe=[24]))))
    assert len(climbed) == 20 * 2
    assert all(-1 <= cosine < 1 for cosine in climbed)
    table = Run(scaling.run(study(tmp_path / "b", denoiser=mixture(), search=Random()))).candidates
    assert table["cosine"].to_numpy().size == 20 * 8
    assert all(value != value for value in table["cosine"].to_numpy())
