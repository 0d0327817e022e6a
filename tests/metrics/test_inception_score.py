"""IS against torchmetrics, torch-fidelity and its bounds."""

from __future__ import annotations

import pytest
import torch
from metric_rows import Identity, correlated, fill
from torch_fidelity.metric_isc import isc_features_to_metric
from torchmetrics.image.inception import InceptionScore as LibraryScore

from scaling.metrics.inception_score import InceptionScore


def test_one_split_equals_both_libraries() -> None:
    logits = 3 * correlated(300, 10, seed=1)
    value = float(fill(InceptionScore(classes=10, feature="e.l", splits=1), logits, parts=3).compute())
    library = LibraryScore(feature=Identity(10), splits=1)
    library.update(logits)
    assert value == pytest.approx(float(library.compute()[0]), rel=1e-9)
    assert value == pytest.approx(isc_features_to_metric(logits, splits=1)["inception_score_mean"], rel=1e-9)


def test_ten_splits_equal_torch_fidelity_with_the_same_permutation() -> None:
    logits = 3 * correlated(600, 10, seed=2)
    value = float(fill(InceptionScore(classes=10, feature="e.l", minimum=60), logits).compute())
    dealt = torch.cat([logits[split::10] for split in range(10)])
    fidelity = isc_features_to_metric(dealt, splits=10, shuffle=False)["inception_score_mean"]
    assert value == pytest.approx(fidelity, rel=1e-9)


def test_bounds_are_one_and_the_number_of_classes() -> None:
    index = torch.arange(200)
    certain = 1e4 * torch.nn.functional.one_hot(index % 10, 10).double()
    assert float(fill(InceptionScore(classes=10, feature="e.l"), certain).compute()) == pytest.approx(10, rel=1e-9)
    same = correlated(1, 10, seed=3).expand(200, -1)
    assert float(fill(InceptionScore(classes=10, feature="e.l"), same).compute()) == pytest.approx(1, rel=1e-9)


def test_few_samples_take_one_split() -> None:
    logits = 3 * correlated(4999, 10, seed=4)
    whole = fill(InceptionScore(classes=10, feature="e.l", splits=1), logits).compute()
    assert float(fill(InceptionScore(classes=10, feature="e.l"), logits).compute()) == pytest.approx(float(whole))
    more = 3 * correlated(5000, 10, seed=4)
    split = isc_features_to_metric(torch.cat([more[s::10] for s in range(10)]), splits=10, shuffle=False)
    value = float(fill(InceptionScore(classes=10, feature="e.l"), more).compute())
    assert value == pytest.approx(split["inception_score_mean"], rel=1e-9)


def test_a_condition_keeps_its_split_when_others_are_added() -> None:
    logits = 3 * correlated(400, 10, seed=5)
    metric = InceptionScore(classes=10, feature="e.l", minimum=0)
    fill(metric, logits[:200])
    before = metric.count.clone()
    fill(metric, logits[200:], index=torch.arange(200, 400))
    assert torch.equal(metric.count, 2 * before)
