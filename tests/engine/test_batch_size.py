"""The batch shape: the smallest that is about as fast as any, whatever the machine does meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from scaling.engine import batch_size as shape
from scaling.engine.batch_size import measure, measured_batch
from scaling.identity import identity_of
from scaling.journal.stream import digest
from scaling.protocols import Condition, Encoded, Prediction

Cost = Callable[[int], float]  # seconds of a call, of its rows


class Clocked:
    """A model whose calls take as long as is said, by a clock that only they move."""

    device = torch.device("cpu")
    latent_shape = (2,)

    def __init__(self, cost: Cost, most: int = 1024) -> None:
        self.cost, self.most = cost, most
        self.now, self.calls = 0.0, 0

    def __call__(self, x: Tensor, t: Tensor, encoded: Encoded) -> Prediction:
        if len(x) > self.most:
            raise torch.OutOfMemoryError
        self.now += self.cost(len(x))
        self.calls += 1
        return Prediction(x, x)

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        return {"label": torch.zeros(len(conditions))}

    def identity(self) -> dict[str, Any]:
        return {"class": "Clocked"}


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[[Clocked], int]:
    def choose(model: Clocked) -> int:
        monkeypatch.setattr(shape.time, "perf_counter", lambda: model.now)
        return measure(model, Condition(), block_size=256)  # type: ignore[arg-type]

    return choose


def test_the_smallest_shape_about_as_fast_as_any(chosen: Callable[[Clocked], int]) -> None:
    assert chosen(Clocked(lambda rows: 0.001 * rows)) == 1
    assert chosen(Clocked(lambda rows: 0.001)) == 256
    assert chosen(Clocked(lambda rows: 0.001 * (rows + 1))) == 32  # 1/33 over the best: within 5 %
    assert chosen(Clocked(lambda rows: 0.001 * max(rows, 8))) == 8


def test_memory_ends_the_doubling(chosen: Callable[[Clocked], int]) -> None:
    assert chosen(Clocked(lambda rows: 0.01, most=20)) == 16


def test_a_network_that_fills_the_device_early_is_not_asked_for_minutes(chosen: Callable[[Clocked], int]) -> None:
    """Long calls must gain: at 0.3 seconds a row the second shape is the last, while rows at no more cost go on."""
    filled = Clocked(lambda rows: 0.3 * rows)
    assert chosen(filled) == 1
    assert filled.now < 10
    assert chosen(Clocked(lambda rows: 0.6)) == 256


@pytest.mark.slow
def test_nothing_is_compiled_to_measure() -> None:
    class Compiled(Clocked):
        def __init__(self) -> None:
            super().__init__(lambda rows: 0.0)
            self.network = torch.nn.Linear(2, 2).eval()
            self.network.compile(dynamic=False)

        def __call__(self, x: Tensor, t: Tensor, encoded: Encoded) -> Prediction:
            return Prediction(self.network(x), x)

    made = counters["stats"]["unique_graphs"]
    model = Compiled()
    measure(model, Condition(), seconds=0.01)  # type: ignore[arg-type]
    assert counters["stats"]["unique_graphs"] == made
    model(torch.zeros(3, 2), torch.zeros(3), {})
    assert counters["stats"]["unique_graphs"] == made + 1


def test_a_slow_moment_decides_nothing(chosen: Callable[[Clocked], int]) -> None:
    """The machine is slow while 8 rows are timed first, for as long as one shape is timed in all."""
    eights = 0

    def cost(rows: int) -> float:
        nonlocal eights
        eights += rows == 8
        return 0.01 * max(rows, 8) * (3 if rows == 8 and 1 < eights < 4 else 1)

    assert chosen(Clocked(cost)) == 8
    assert eights > 4


def test_a_cpu_takes_no_more_rows_than_are_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows at no more cost: 256 at once where that many conditions are alive, and where fewer are what they fill."""
    model = Clocked(lambda rows: 0.001)
    monkeypatch.setattr(shape.time, "perf_counter", lambda: model.now)
    for block_size, expected in ((256, 256), (48, 32), (1000, 256)):
        found = measured_batch(model, Condition(), tmp_path / "kept.json", block_size)  # type: ignore[arg-type]
        assert found.batch_size == expected


def test_a_first_run_of_small_blocks_holds_no_later_one_to_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Clocked(lambda rows: 0.001)
    monkeypatch.setattr(shape.time, "perf_counter", lambda: model.now)
    sizes = [measured_batch(model, Condition(), tmp_path / "kept.json", b).batch_size for b in (4, 64, 4)]  # type: ignore[arg-type]
    assert sizes == [4, 64, 4]


def test_a_shape_of_before_it_was_noted_when_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, kept = Clocked(lambda rows: 0.001), tmp_path / "kept.json"
    kept.write_text(json.dumps({digest({"denoiser": identity_of(model), "device": "cpu"}): 16}))
    assert measured_batch(model, Condition(), kept).batch_size == 16  # type: ignore[arg-type]
    assert model.calls == 0


def test_a_kept_shape_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Clocked(lambda rows: 0.01 * max(rows, 4))
    monkeypatch.setattr(shape.time, "perf_counter", lambda: model.now)
    first = measured_batch(model, Condition(), tmp_path / "shapes.json")  # type: ignore[arg-type]
    calls = model.calls
    assert measured_batch(model, Condition(), tmp_path / "shapes.json") == first  # type: ignore[arg-type]
    assert (first.batch_size, first.device) == (4, "cpu") and first.measured.startswith("20")
    assert model.calls == calls
