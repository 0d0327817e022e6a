"""What holds for every metric of a set: order, replicates, reset, no touch of the global random state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from metric_rows import correlated, fill, write_reference
from torchmetrics import Metric

from scaling.metrics.fid import FID
from scaling.metrics.inception_score import InceptionScore
from scaling.metrics.kid import KID
from scaling.metrics.precision_recall import Precision, Recall

N, D = 243, 6
METRICS = ("fid", "kid", "inception_score", "precision", "recall")


@pytest.fixture(params=METRICS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Metric]:
    reference = write_reference(tmp_path, correlated(200, D, seed=1))
    kinds = {"fid": FID, "kid": KID, "precision": Precision, "recall": Recall}
    if request.param == "inception_score":
        return lambda: InceptionScore(classes=D, reads="evaluator.logits", minimum=20)
    return lambda: kinds[request.param](reference=reference, reads="evaluator.features")


def test_order_and_batches_of_updates_do_not_matter(make: Callable[[], Metric]) -> None:
    values, order = correlated(N, D, seed=3), torch.randperm(N, generator=torch.Generator().manual_seed(0))
    straight, shuffled = fill(make(), values), fill(make(), values[order], parts=7, index=order)
    assert float(shuffled.compute()) == pytest.approx(float(straight.compute()), rel=1e-9)


@pytest.mark.parametrize("groups", [2, 10, 20])
def test_replicates_are_the_metric_without_the_group(make: Callable[[], Metric], groups: int) -> None:
    values, index = correlated(N, D, seed=4), torch.arange(N)
    replicates = fill(make(), values).replicates(groups)
    assert replicates.shape == (groups,)
    for group in range(groups):
        kept = index % groups != group
        direct = fill(make(), values[kept], index=index[kept])
        assert float(replicates[group]) == pytest.approx(float(_same_splits(direct, N)), rel=1e-8, abs=1e-12)


def _same_splits(metric: Metric, count: int) -> torch.Tensor:
    """The direct value; IS is asked for as many splits as it has with all samples."""
    if isinstance(metric, InceptionScore):
        metric.minimum = 0
        assert count >= 20 * metric.splits
    return metric.compute()


def test_reset_forgets(make: Callable[[], Metric]) -> None:
    values = correlated(N, D, seed=5)
    metric = fill(make(), 3 * values)
    metric.reset()
    assert float(fill(metric, values).compute()) == float(fill(make(), values).compute())


def test_nothing_touches_the_global_random_state(make: Callable[[], Metric]) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    fill(make(), correlated(N, D, seed=6)).compute()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_samples_is_one_clear_line(make: Callable[[], Metric]) -> None:
    with pytest.raises(ValueError, match="samples"):
        make().compute()


def test_another_width_is_named(make: Callable[[], Metric]) -> None:
    with pytest.raises(ValueError, match=rf"{D}.*has {D + 1}"):
        fill(make(), correlated(8, D + 1, seed=0))
