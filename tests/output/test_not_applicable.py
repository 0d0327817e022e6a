"""A per-sample metric that does not apply to every condition."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from studies import study
from torch import Tensor

from scaling.protocols import Condition
from scaling.runner.run import execute


class OfSome:
    """1 for conditions of class 0, NaN for the others; and NaN for all."""

    def __call__(self, images: Tensor, conditions: Sequence[Condition]) -> Mapping[str, Tensor]:
        nan = torch.full((len(images), 1), float("nan"))
        zero = torch.tensor([[c.class_label == 0] for c in conditions])
        return {"some": torch.where(zero, 1.0, nan), "none": nan}

    def identity(self) -> Mapping[str, Any]:
        return {"class": "OfSome"}


class First:
    def __init__(self, feature: str) -> None:
        self.feature = feature

    def __call__(self, values: Tensor, labels: Tensor) -> Tensor:
        return values[:, 0].double()


def test_nan_is_no_answer_and_counts_for_nothing(tmp_path: Path) -> None:
    metrics = {"some": First("judge.some"), "none": First("judge.none")}
    folder = execute(study(tmp_path, extractors={"judge": OfSome()}, per_sample=metrics, metrics={}))
    rows = list(csv.DictReader((folder / "curve.csv").open()))
    some = [row for row in rows if row["metric"] == "some"]
    assert {row["value"] for row in some} == {"1.0"}
    assert all(0 < int(row["conditions"]) < 20 for row in some)
    assert not [row for row in rows if row["metric"] == "none"]


class Recall:
    """A metric of a set whose jackknife leaves the range that recall has."""

    feature = "judge.some"

    def update(self, values: Tensor, index: Tensor, labels: Tensor) -> None:
        pass

    def compute(self) -> Tensor:
        return torch.tensor(0.9)

    def replicates(self, groups: int) -> Tensor:
        return torch.linspace(0.85, 0.95, groups)

    def reset(self) -> None:
        pass


def test_an_interval_is_written_within_the_metrics_range(tmp_path: Path) -> None:
    folder = execute(study(tmp_path, extractors={"judge": OfSome()}, metrics={"recall": Recall()}))
    rows = [row for row in csv.DictReader((folder / "curve.csv").open()) if row["metric"] == "recall"]
    assert rows and all(float(row["ci_low"]) > 0.5 and row["ci_high"] == "1.0" for row in rows)
