"""Precision and recall against a double loop and torch-fidelity."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from metric_rows import correlated, fill, write_reference
from torch import Tensor
from torch_fidelity.metric_prc import calculate_precision_recall_full

from scaling.metrics.precision_recall import Precision, Recall


def covered(points: Tensor, centers: Tensor, k: int) -> float:
    """The share of points inside the k-neighbor balls of the centers, by double loops."""
    radii = []
    for i, center in enumerate(centers):
        radii.append(sorted(float((center - other).norm()) for j, other in enumerate(centers) if j != i)[k - 1])
    inside = [any(float((p - c).norm()) <= r for c, r in zip(centers, radii, strict=True)) for p in points]
    return sum(inside) / len(points)


@pytest.mark.parametrize(("k", "chunk"), [(1, 1000), (3, 11), (5, 7)])
def test_equal_a_double_loop(tmp_path: Path, k: int, chunk: int) -> None:
    real, fake = correlated(45, 3, seed=1), 1.3 * correlated(38, 3, seed=2, shift=0.3)
    reference = write_reference(tmp_path, real)
    precision = fill(Precision(reference=reference, feature="e.f", k=k, chunk=chunk), fake)
    recall = fill(Recall(reference=reference, feature="e.f", k=k, chunk=chunk), fake)
    assert float(precision.compute()) == covered(fake, real, k)
    assert float(recall.compute()) == covered(real, fake, k)
    without = fake[torch.arange(38) % 5 != 2]
    assert float(precision.replicates(5)[2]) == pytest.approx(covered(without, real, k), abs=1e-12)
    assert float(recall.replicates(5)[2]) == pytest.approx(covered(real, without, k), abs=1e-12)


def test_equal_torch_fidelity(tmp_path: Path) -> None:
    real, fake = correlated(300, 10, seed=1), 1.1 * correlated(250, 10, seed=2, shift=0.1)
    reference = write_reference(tmp_path, real)
    precision, recall = calculate_precision_recall_full(fake, real, 3)
    assert float(fill(Precision(reference=reference, feature="e.f"), fake).compute()) == pytest.approx(
        precision, abs=1e-6
    )
    assert float(fill(Recall(reference=reference, feature="e.f"), fake).compute()) == pytest.approx(recall, abs=1e-6)


def test_a_narrow_set_keeps_precision_and_loses_recall(tmp_path: Path) -> None:
    real = correlated(300, 6, seed=1)
    reference = write_reference(tmp_path, real)
    narrow = 0.3 * correlated(300, 6, seed=2)
    assert float(fill(Precision(reference=reference, feature="e.f"), narrow).compute()) > 0.95
    assert float(fill(Recall(reference=reference, feature="e.f"), narrow).compute()) < 0.2


def test_says_network_and_counts(tmp_path: Path) -> None:
    metric = Precision(reference=write_reference(tmp_path, correlated(50, 3, seed=1)), feature="inception.features")
    fill(metric, correlated(20, 3, seed=2), parts=2)


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    reference = write_reference(tmp_path, correlated(3, 2, seed=1))
    with pytest.raises(ValueError, match=r"k=3.*3 rows"):
        Precision(reference=reference, feature="e.f")
    reference = write_reference(tmp_path, correlated(30, 2, seed=1))
    with pytest.raises(ValueError, match="more than 3 samples"):
        fill(Recall(reference=reference, feature="e.f"), correlated(3, 2, seed=2)).compute()
