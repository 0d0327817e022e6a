"""What holds for every metric of a set: order, replicates, reset, no touch of the global random state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from metric_rows import correlated, fill, write_reference

from scaling.identity import identity_of
from scaling.metrics.fid import FID
from scaling.metrics.inception_score import InceptionScore
from scaling.metrics.kid import KID
from scaling.metrics.precision_recall import Precision, Recall
from scaling.metrics.sets import SetMetric

N, D = 243, 6
METRICS = ("fid", "kid", "inception_score", "precision", "recall")


@pytest.fixture(params=METRICS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], SetMetric]:
    reference = write_reference(tmp_path, correlated(200, D, seed=1))
    kinds = {"fid": FID, "kid": KID, "precision": Precision, "recall": Recall}
    if request.param == "inception_score":
        return lambda: InceptionScore(classes=D, feature="evaluator.logits", minimum=20)
    return lambda: kinds[request.param](reference=reference, feature="evaluator.features")


def test_order_and_batches_of_updates_do_not_matter(make: Callable[[], SetMetric]) -> None:
    values, order = correlated(N, D, seed=3), torch.randperm(N, generator=torch.Generator().manual_seed(0))
    straight, shuffled = fill(make(), values), fill(make(), values[order], parts=7, index=order)
    assert float(shuffled.compute()) == pytest.approx(float(straight.compute()), rel=1e-9)


@pytest.mark.parametrize("groups", [2, 10, 20])
def test_replicates_are_the_metric_without_the_group(make: Callable[[], SetMetric], groups: int) -> None:
    values, index = correlated(N, D, seed=4), torch.arange(N)
    replicates = fill(make(), values).replicates(groups)
    assert replicates.shape == (groups,)
    for group in range(groups):
        kept = index % groups != group
        direct = fill(make(), values[kept], index=index[kept])
        assert float(replicates[group]) == pytest.approx(float(_same_splits(direct, N)), rel=1e-8, abs=1e-12)


def _same_splits(metric: SetMetric, count: int) -> torch.Tensor:
    """The direct value; IS is asked for as many splits as it has with all samples."""
    if isinstance(metric, InceptionScore):
        metric.minimum = 0
        assert count >= 20 * metric.splits
    return metric.compute()


def test_reset_forgets(make: Callable[[], SetMetric]) -> None:
    values = correlated(N, D, seed=5)
    metric = fill(make(), 3 * values)
    metric.reset()
    assert float(fill(metric, values).compute()) == float(fill(make(), values).compute())


def test_nothing_touches_the_global_random_state(make: Callable[[], SetMetric]) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    fill(make(), correlated(N, D, seed=6)).compute()
    assert torch.equal(before, torch.get_rng_state())


def test_no_samples_is_one_clear_line(make: Callable[[], SetMetric]) -> None:
    with pytest.raises(ValueError, match="samples"):
        make().compute()


def test_another_width_is_named(make: Callable[[], SetMetric]) -> None:
    with pytest.raises(ValueError, match=rf"{D}.*has {D + 1}"):
        fill(make(), correlated(8, D + 1, seed=0))


def test_only_parameters_and_the_reference_decide_and_not_where_it_lies(tmp_path: Path) -> None:
    rows, found = correlated(200, D, seed=1), []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        metric = FID(reference=write_reference(tmp_path / place, rows), feature="e.f")
        found += [identity_of(metric), identity_of(fill(metric, rows))]
    assert all(each == found[0] for each in found)
    other = write_reference(tmp_path, 2 * rows)
    assert identity_of(FID(reference=other, feature="e.f")) != found[0]
    assert identity_of(Recall(reference=other, feature="e.f", k=2)) != identity_of(
        Recall(reference=other, feature="e.f")
    )
    chunked = [identity_of(KID(reference=other, feature="e.f", chunk=chunk)) for chunk in (7, 8)]
    assert chunked[0] == chunked[1]
