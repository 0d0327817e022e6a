"""How early scores tell final ones, and what halving would have made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from studies import study

from scaling.analysis.questions.early import Early, early_scores, words
from scaling.analysis.runs.folder import Run
from scaling.budget import Budget
from scaling.search.halving import Halving


def pool(seed: int = 0, noise: tuple[float, ...] = (2.0, 0.1)) -> Early:
    rng = np.random.default_rng(seed)
    final = rng.standard_normal((40, 32))
    seen = [final + scale * rng.standard_normal(final.shape) for scale in noise]
    return Early((0.8, 0.4, 0.0), (2, 4, 4), np.stack([*seen, final], axis=2))


def test_the_correlation_is_spearmans() -> None:
    early = pool()
    for place, (time, rho) in enumerate(early.correlations()):
        by_hand = [spearmanr(row[:, place], row[:, -1]).statistic for row in early.scores]
        assert time == early.times[place]
        assert rho.value == pytest.approx(np.mean(by_hand))


def test_scores_that_tell_nothing_leave_random_search_best_and_telling_ones_do_not() -> None:
    blind = pool(noise=(1e9, 1e9)).proposals(100)
    assert blind[0].times == ()
    seeing = pool(noise=(1e9, 0.01)).proposals(100)
    assert seeing[0].times == (0.4,)
    assert seeing[0].candidates > 10 > next(each for each in seeing if not each.times).candidates - 1


def test_costs_are_those_of_the_search(tmp_path: Path) -> None:
    from scaling.runner.run import execute

    every = Halving(candidates=6, rungs=(0.75, 0.5, 0.25), keep=1.0)
    folder = execute(study(tmp_path, search=every, budget=Budget(nfes_per_iter=4, nfe=[42])))
    early = early_scores(Run(folder))
    assert early.times == (0.75, 0.5, 0.25, 0.0)
    assert early.legs == (1, 1, 1, 1)
    assert early.pool == 6
    random = next(each for each in early.proposals(16) if not each.times)
    assert random.candidates == 4
    halved = next(each for each in early.proposals(16) if each.times == (0.5,) and each.keep == 0.5)
    assert halved.candidates == 4  # 4 (2 + 1) + 2 * 2 = 16
    assert any("rank correlation" in line for line in words(early, [16]))


def test_a_run_that_dropped_candidates_is_refused(tmp_path: Path) -> None:
    from scaling.runner.run import execute

    dropped = Halving(candidates=6, rungs=(0.75, 0.5), keep=0.5)
    folder = execute(study(tmp_path, search=dropped, budget=Budget(nfes_per_iter=4, nfe=[42])))
    with pytest.raises(ValueError, match="did not follow every candidate"):
        early_scores(Run(folder))
