"""KID against torchmetrics and a double loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from metric_rows import Identity, correlated, fill, write_reference
from torchmetrics.image.kid import KernelInceptionDistance

from scaling.metrics.kid import KID
from scaling.metrics.reference import Reference, save_reference


def test_equals_torchmetrics_with_one_subset_of_all(tmp_path: Path) -> None:
    real, fake = correlated(150, 12, seed=1), 1.2 * correlated(150, 12, seed=2, shift=0.2)
    value = float(fill(KID(reference=write_reference(tmp_path, real), feature="e.f", chunk=64), fake).compute())
    library = KernelInceptionDistance(feature=Identity(12), subsets=1, subset_size=150)
    library.update(real, real=True)
    library.update(fake, real=False)
    assert value == pytest.approx(float(library.compute()[0]), rel=1e-9)


def test_equals_a_double_loop_at_unequal_counts(tmp_path: Path) -> None:
    real, fake = correlated(17, 4, seed=1), correlated(9, 4, seed=2)

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        return (float(a @ b) / 4 + 1) ** 3

    def mean_of_pairs(rows: torch.Tensor) -> float:
        pairs = [kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    across = sum(kernel(a, b) for a in fake for b in real) / (17 * 9)
    value = float(fill(KID(reference=write_reference(tmp_path, real), feature="e.f", chunk=5), fake).compute())
    assert value == pytest.approx(mean_of_pairs(fake) + mean_of_pairs(real) - 2 * across, rel=1e-9)


def test_is_unbiased_where_fid_is_not(tmp_path: Path) -> None:
    """Forty rows from the reference's own law: the mean over seeds is 0 within its error."""
    reference = write_reference(tmp_path, correlated(800, 8, seed=1))
    values = [
        float(fill(KID(reference=reference, feature="e.f"), correlated(40, 8, seed=s)).compute()) for s in range(2, 27)
    ]
    mean, error = torch.tensor(values).mean(), torch.tensor(values).std() / 25**0.5
    assert abs(mean) < 3 * error


def test_a_reference_without_rows_is_refused_when_built(tmp_path: Path) -> None:
    path = tmp_path / "bare.npz"
    save_reference(path, Reference(torch.zeros(3).double(), torch.eye(3).double()))
    with pytest.raises(ValueError, match=r"bare\.npz holds no feature rows.*reference_statistics"):
        KID(reference=str(path), feature="e.f")
