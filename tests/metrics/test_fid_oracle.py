"""The FID oracle against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from metric_rows import Identity, correlated, statistics, write_reference
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from scaling.metrics.fid_oracle import FIDOracle, RunningStatistics, commit, screen
from scaling.metrics.reference import load_reference


def stream(c: int, k: int, d: int, seed: int = 5) -> Tensor:
    """Features of c conditions by k candidates; a batch's k-th candidates lean somewhere of their own."""
    rows = 1.3 * correlated(c * k, d, seed=seed).view(c, k, d)
    lean = torch.randn(1, k, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (rows + 0.2 * lean).float()


def library_fid(rows: Tensor, real: Tensor) -> float:
    metric = FrechetInceptionDistance(feature=Identity(real.shape[1]))
    metric.update(real, real=True)
    metric.update(rows.double(), real=False)
    return float(metric.compute())


def brute_force(features: Tensor, real: Tensor, batch: int, warmup: int) -> list[int]:
    """Greedy selection with torchmetrics' FID of every union."""
    winners = [0] * warmup
    chosen = features[:warmup, 0]
    for start in range(warmup, len(features), batch):
        block = features[start : start + batch]
        fids = [library_fid(torch.cat([chosen, block[:, k]]), real) for k in range(features.shape[1])]
        best = int(np.argmin(fids))
        winners += [best] * len(block)
        chosen = torch.cat([chosen, block[:, best]])
    return winners


@pytest.mark.parametrize("d", [6, 40])  # 40: fewer samples than features after the warm-up of 24
def test_picks_what_brute_force_picks(tmp_path: Path, d: int) -> None:
    real, features = correlated(400, d, seed=1), stream(104, 16, d)
    oracle = FIDOracle(reference=write_reference(tmp_path, real), feature="e.f", batch=16, warmup=24, shortlist=4)
    winners = oracle.select(features)
    assert winners.tolist() == brute_force(features, real, batch=16, warmup=24)
    assert len(set(winners[24:].tolist())) > 2


def test_running_statistics_give_torchmetrics_fid() -> None:
    real, rows = correlated(300, 8, seed=1), correlated(90, 8, seed=2)
    reference = statistics(real)
    running = RunningStatistics(0.0, torch.zeros(8).double(), torch.zeros(()).double(), torch.zeros(8, 8).double())
    for part in rows.split(13):
        running = running.add(part - reference.mean, reference.factor)
    assert running.fid(reference) == pytest.approx(library_fid(rows, real), rel=1e-8)


@pytest.mark.parametrize(("start", "d", "tolerance"), [(400, 6, 0.06), (400, 40, 0.15), (24, 40, 0.9)])
def test_the_screen_is_the_change_of_the_fid_to_first_order(start: int, d: int, tolerance: float) -> None:
    """Differences between candidates are exact up to a remainder that is small beside their spread.

    Less small where a batch is larger than all that was there before, and there are fewer samples than features.
    """
    real, features = correlated(600, d, seed=1), stream(start + 32, 16, d)
    reference = statistics(real)
    centered = features - reference.mean.float()
    zero = torch.zeros(d).double()
    running = RunningStatistics(0.0, zero, zero.sum(), torch.zeros(d, d).double())
    running = running.add(centered[:start, 0].double(), reference.factor)
    block = centered[start:]
    exact = torch.tensor([running.add(block[:, k].double(), reference.factor).fid(reference) for k in range(16)])
    screened = screen(running, block, reference.factor)
    error = (screened - screened.mean()) - (exact - exact.mean())
    assert float(error.abs().max()) < tolerance * float(exact.std())


def test_a_memory_map_of_halves_and_a_prefix_of_the_candidates(tmp_path: Path) -> None:
    reference, features = write_reference(tmp_path, correlated(200, 6, seed=1)), stream(60, 12, 6).half()
    stored = np.memmap(tmp_path / "features", np.float16, "w+", shape=(60, 12, 6))
    stored[:] = features.numpy()
    oracle = FIDOracle(reference=reference, feature="e.f", batch=10, warmup=20)
    assert torch.equal(oracle.select(stored, candidates=5), oracle.select(features[:, :5]))
    assert oracle.select(stored, candidates=1).tolist() == [0] * 60


def test_more_candidates_lower_the_fid(tmp_path: Path) -> None:
    real, features = correlated(400, 6, seed=1), stream(200, 32, 6)
    oracle = FIDOracle(reference=write_reference(tmp_path, real), feature="e.f", batch=16, warmup=40)
    fids = []
    for candidates in (1, 8, 32):
        winners = oracle.select(features, candidates)
        fids.append(library_fid(features[torch.arange(200), winners], real))
    assert fids[0] > fids[1] > fids[2]


def test_of_equals_the_first_is_taken() -> None:
    reference = statistics(correlated(50, 3, seed=1))
    block = (correlated(8, 3, seed=2).float() - reference.mean.float())[:, None].expand(8, 5, 3)
    zero = torch.zeros(3).double()
    running = RunningStatistics(0.0, zero, zero.sum(), torch.zeros(3, 3).double())
    running = running.add(correlated(20, 3, seed=3) - reference.mean, reference.factor)
    assert commit(running, block, reference, shortlist=5)[0] == 0


def test_another_width_is_named(tmp_path: Path) -> None:
    reference = write_reference(tmp_path, correlated(50, 3, seed=1))
    assert load_reference(reference).width == 3
    with pytest.raises(ValueError, match=r"3 features, but e\.f has 4"):
        FIDOracle(reference=reference, feature="e.f").select(stream(10, 2, 4))
