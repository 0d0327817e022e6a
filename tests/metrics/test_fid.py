"""FID against torchmetrics, torch-fidelity and closed forms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from metric_rows import Identity, correlated, fill, statistics, write_reference
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from scaling.metrics.fid import FID, frechet_distance
from scaling.metrics.reference import Reference
from scaling.notices import take_notices


@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_equals_torchmetrics_and_torch_fidelity(tmp_path: Path, shift: float) -> None:
    real, fake = correlated(400, 24, seed=1, shift=shift), correlated(900, 24, seed=2, shift=shift + 0.1) * 1.1
    value = float(fill(FID(reference=write_reference(tmp_path, real), feature="e.f"), fake, parts=4).compute())
    library = FrechetInceptionDistance(feature=Identity(24))
    library.update(real, real=True)
    library.update(fake, real=False)
    assert value == pytest.approx(float(library.compute()), rel=1e-8)
    statistics = (fid_features_to_statistics(rows) for rows in (fake, real))
    fidelity = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert value == pytest.approx(fidelity, rel=1e-8)


def test_with_fewer_samples_than_features_it_stays_near_torchmetrics(tmp_path: Path) -> None:
    real, fake = correlated(400, 24, seed=1), correlated(12, 24, seed=2)
    metric = fill(FID(reference=write_reference(tmp_path, real), feature="e.f"), fake)
    library = FrechetInceptionDistance(feature=Identity(24))
    library.update(real, real=True)
    library.update(fake, real=False)
    assert float(metric.compute()) == pytest.approx(float(library.compute()), rel=1e-4)


def test_closed_form_of_diagonal_gaussians() -> None:
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 1.0]).double()
    mean = torch.tensor([1.0, 0.0, -2.0]).double()
    reference = Reference(torch.zeros(3).double(), torch.diag(a))
    expected = 5.0 + (a.sqrt() - b.sqrt()).square().sum()
    assert float(frechet_distance(mean, torch.diag(b), reference)) == pytest.approx(float(expected), rel=1e-12)


def test_of_a_set_against_itself_is_zero() -> None:
    rows = correlated(100, 8, seed=3)
    assert abs(float(frechet_distance(torch.zeros(8).double(), rows.T.cov(), statistics(rows)))) < 1e-10


def test_too_few_samples_are_noticed_with_what_to_do(tmp_path: Path) -> None:
    take_notices()
    metric = FID(reference=write_reference(tmp_path, correlated(300, 8, seed=1)), feature="e.f")
    fill(metric, correlated(159, 8, seed=2))
    metric.compute()
    metric.compute()
    (said,) = take_notices()
    assert re.search(r"159 samples with 8 features.*conditions\.count=160", said)
    enough = FID(reference=str(tmp_path / "reference.npz"), feature="e.f")
    fill(enough, correlated(160, 8, seed=2)).compute()
    assert take_notices() == []


def test_memory_does_not_depend_on_the_samples(tmp_path: Path) -> None:
    metric = FID(reference=write_reference(tmp_path, correlated(100, 8, seed=1)), feature="e.f")
    sizes = []
    for seed in range(3):
        fill(metric, correlated(500, 8, seed=seed))
        sizes.append(sum(value.numel() for value in vars(metric).values() if isinstance(value, torch.Tensor)))
    assert sizes == [20 * (1 + 8 + 64)] * 3


def test_a_width_that_the_reference_has_not_is_refused_when_built(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"reference\.npz holds statistics of 8 features, but .* has 2048"):
        FID(reference=write_reference(tmp_path, correlated(50, 8, seed=1)), feature="e.f", width=2048)


def test_groups_that_were_not_kept_are_refused(tmp_path: Path) -> None:
    metric = FID(reference=write_reference(tmp_path, correlated(50, 8, seed=1)), feature="e.f")
    with pytest.raises(ValueError, match=r"7 groups.*\[2, 4, 5, 10, 20\]"):
        metric.replicates(7)
