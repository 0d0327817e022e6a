"""Mean ranks select, z-scores guide."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scaling.protocols import Condition
from scaling.verifiers.ensemble import Ensemble, MeanRank, calibrate


class Brightness:
    """The mean of one channel, times a factor."""

    differentiable = True
    probe_sigma: float | None = None

    def __init__(self, channel: int, factor: float = 1.0) -> None:
        self.channel, self.factor = channel, factor

    def __call__(self, images: torch.Tensor, conditions: Sequence[Condition], probes: Any = None) -> torch.Tensor:
        return self.factor * images[:, self.channel].mean(dim=(1, 2))

    def identity(self) -> dict[str, Any]:
        return {"class": "Brightness", "channel": self.channel, "factor": self.factor}


def test_mean_rank_by_hand() -> None:
    scores = {"a": np.array([0.1, 0.9, 0.5, 0.5]), "b": np.array([3.0, 1.0, 2.0, 2.5]), "c": np.array([0.0, 0, 0, 1])}
    # ranks: a 4 1 2.5 2.5; b 1 4 3 2; c 3 3 3 1
    assert MeanRank().pick(scores) == 3
    assert MeanRank(names=["a"]).pick(scores) == 1
    assert MeanRank(names=["a", "b"]).pick(scores) == 3
    assert MeanRank(names=["c"]).pick({"c": np.zeros(5)}) == 0


def test_mean_rank_ignores_scale_and_order() -> None:
    scores = {name: np.random.default_rng(i).normal(size=7) for i, name in enumerate("abc")}
    winner = MeanRank().pick(scores)
    assert MeanRank().pick({name: np.exp(3 * values) for name, values in scores.items()}) == winner
    for order in list(permutations(range(7)))[::500]:
        shuffled = MeanRank().pick({name: values[list(order)] for name, values in scores.items()})
        means = np.mean([np.argsort(np.argsort(-values)) for values in scores.values()], axis=0)
        assert means[order[shuffled]] == means[winner]


def test_an_unknown_scorer_is_named() -> None:
    with pytest.raises(ValueError, match="wants the scores of clip; there are a"):
        MeanRank(names=["clip"]).pick({"a": np.zeros(2)})


def test_z_scores_by_hand_whatever_the_company() -> None:
    images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    conditions = [Condition(prompt="a cat")] * 5
    members = {"red": Brightness(0), "blue": Brightness(2, 100.0)}
    verifier = Ensemble(members=members, calibration={"red": [0.5, 0.1], "blue": [50.0, 20.0]})
    expected = ((images[:, 0].mean((1, 2)) - 0.5) / 0.1 + (100 * images[:, 2].mean((1, 2)) - 50) / 20) / 2
    torch.testing.assert_close(verifier(images, conditions), expected)
    assert torch.equal(verifier(images[2:3], conditions[:1])[0], verifier(images, conditions)[2])
    assert verifier.calibrated
    assert verifier.differentiable
    with pytest.raises(ValueError, match="above 0 for blue"):
        Ensemble(members=members, calibration={"red": [0, 1], "blue": [0, 0]})


def test_a_member_that_says_one_thing_has_no_deviation(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "candidates").mkdir()
    rows = {"condition": np.repeat(np.arange(50), 10), "t": np.zeros(500), "clip": np.full(500, 0.3)}
    parquet.write_table(pa.table(rows), tmp_path / "candidates" / "part-0.parquet")
    assert calibrate(tmp_path, ["clip"])["clip"] == (pytest.approx(0.3), 0.0)
    with pytest.raises(ValueError, match="above 0 for clip"):
        Ensemble(members={"clip": Brightness(0)}, calibration=str(tmp_path))


def test_calibration_from_a_run(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "candidates").mkdir()
    rng = np.random.default_rng(0)
    condition = np.repeat(np.arange(200), 20)
    scores = 5 * rng.normal(size=200)[condition] + 2 * rng.normal(size=4000) + 3
    t = np.zeros(4000)
    t[::7] = 0.5  # x0 predictions on the way do not count
    columns = {"condition": condition, "t": t, "clip": np.where(t == 0, scores, 1e9)}
    for part in range(2):
        rows = {name: values[part * 2000 : part * 2000 + 2000] for name, values in columns.items()}
        parquet.write_table(pa.table(rows), tmp_path / "candidates" / f"part-{part}.parquet")
    mean, deviation = calibrate(tmp_path, ["clip"])["clip"]
    assert mean == pytest.approx(scores[t == 0].mean())
    assert deviation == pytest.approx(2, rel=0.03)  # within conditions, not across them
    with pytest.raises(ValueError, match="did not record aesthetic"):
        calibrate(tmp_path, ["aesthetic"])
    with pytest.raises(ValueError, match="folder of a run"):
        calibrate(tmp_path / "nothing", ["clip"])
