"""What makes a run fast, counted instead of timed: passes, encodes, decodes, batch shapes, full batches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from configs import built, options
from studies import mixture, study
from tiny_pipelines import save
from torch import Tensor

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.engine import episode
from scaling.engine.batches import Batches
from scaling.engine.made_up import row_nfe
from scaling.engine.requests import Answers, EncodedBlock, Request
from scaling.models.flux import Flux
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.noise import NoiseSpace
from scaling.protocols import Condition, Encoded, Prediction, Proposal
from scaling.search.random import Random
from scaling.search.zero_order import ZeroOrder

ADAPTIVE = {"dfs": 0.5, "rbf": 0.5, "dts": 0.1, "dts_greedy": 0.1}  # their conditions drift apart


class Counted(GaussianMixture):
    """A mixture that counts its calls and notes the batch sizes that it sees."""

    def __init__(self) -> None:
        super().__init__([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2))
        self.calls: Counter[str] = Counter()
        self.sizes: set[int] = set()
        self.encoded: list[Condition] = []

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        self.calls["encode"] += 1
        self.encoded += conditions
        return super().encode(conditions)

    def __call__(self, x: Tensor, t: Tensor, encoded: Encoded) -> Prediction:
        self.calls["forward"] += 1
        self.sizes.add(len(x))
        return super().__call__(x, t, encoded)

    def decode(self, x0: Tensor) -> Tensor:
        self.calls["decode"] += 1
        self.sizes.add(len(x0))
        return super().decode(x0)


def counted(folder: Path, candidates: int, **changes: Any) -> Counted:
    denoiser = Counted()
    budget = Budget(nfes_per_iter=4, candidates=candidates)
    count = ClassLabels(count=16, classes=2)
    scaling.run(study(folder, denoiser=denoiser, budget=budget, conditions=count, extractors={}, samples=0, **changes))
    return denoiser


@pytest.mark.parametrize("search", [Random(), ZeroOrder()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("candidates", [1, 9])
def test_a_condition_is_encoded_once_per_block_whatever_the_candidates(
    tmp_path: Path, search: object, candidates: int
) -> None:
    denoiser = counted(tmp_path, candidates, search=search)
    assert denoiser.calls["encode"] == 2  # blocks of 8
    assert denoiser.encoded == list(ClassLabels(count=16, classes=2))


@pytest.mark.parametrize("candidates", [1, 9])
def test_a_grid_of_times_is_worked_out_once_a_condition_whatever_the_candidates(
    tmp_path: Path, candidates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    priced: list[float] = []

    def noted(space: NoiseSpace, proposal: Proposal) -> int:
        priced.append(proposal.times[-1].item())
        return row_nfe(space, proposal)

    monkeypatch.setattr(episode, "row_nfe", noted)
    counted(tmp_path, candidates)
    assert priced == [0.0] * 16


def test_forwards_and_decodes_are_those_of_full_batches_and_no_more(tmp_path: Path) -> None:
    calls = counted(tmp_path, 8).calls
    batches = 16 * 8 // 16
    assert calls["forward"] == 4 * batches
    assert calls["decode"] == batches


def test_more_rungs_cost_no_call(tmp_path: Path) -> None:
    one = counted(tmp_path / "one", 8)
    ladder = Counted()
    budget = Budget(nfes_per_iter=4, candidates=[1, 2, 3, 5, 8])
    conditions = ClassLabels(count=16, classes=2)
    scaling.run(study(tmp_path / "5", denoiser=ladder, budget=budget, conditions=conditions, extractors={}, samples=0))
    assert ladder.calls == one.calls


@pytest.mark.parametrize("candidates", [1, 3, 8])
def test_the_network_sees_one_batch_shape(tmp_path: Path, candidates: int) -> None:
    assert counted(tmp_path, candidates).sizes == {16}


def share(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[float, set[tuple[object, ...]]]:
    """The share of forward rows that are no padding, and the kinds of batches that were run."""
    kinds: set[tuple[object, ...]] = set()
    solve = Batches.solve

    def noted(self: Batches, requests: Sequence[Request], block: EncodedBlock) -> Answers:
        kinds.add((self.rows.denoise_batch, *requests[0].group_key))
        assert len({request.group_key for request in requests}) == 1
        return solve(self, requests, block)

    monkeypatch.setattr(Batches, "solve", noted)
    run = study(
        folder,
        search=built("search", name),
        budget=Budget(nfes_per_iter=10, nfe=180),
        conditions=ClassLabels(count=16, classes=2),
        extractors={},
        samples=0,
        block_size=16,
        batch_size=16,
    )
    paid = json.loads((scaling.run(run) / "cost.json").read_text())["paid"]
    return paid["rows"] / (paid["rows"] + paid["padded_rows"]), kinds


@pytest.mark.parametrize("name", options("search"))
def test_batches_are_full_with_as_many_conditions_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    full, kinds = share(tmp_path, name, monkeypatch)
    assert full >= ADAPTIVE.get(name, 0.95)
    assert {kind[0] for kind in kinds} == {16}


def test_text_encoders_are_entered_once_whatever_the_candidates(tmp_path: Path) -> None:
    entered = 0

    class Watched(Flux):
        def text(self, pipe: Any, prompt: str) -> dict[str, Tensor]:
            nonlocal entered
            entered += bool(prompt)  # FLOPs are counted on an empty one
            return super().text(pipe, prompt)

    conditions = [Condition(prompt="a red cat"), Condition(prompt="two small dogs")]

    class Prompts(list[Condition]):
        def identity(self) -> dict[str, Any]:
            return {"prompts": [condition.prompt for condition in self]}

    denoiser = Watched(
        path=str(save("flux_schnell", tmp_path / "model")), height=16, width=16, dtype="float32", device="cpu",
        max_tokens=16, prompt_cache=str(tmp_path / "prompts"),
    )  # fmt: skip
    budget = Budget(nfes_per_iter=2, candidates=[1, 5])
    scaling.run(
        study(
            tmp_path / "out", denoiser=denoiser, conditions=Prompts(conditions), budget=budget, extractors={},
            batch_size=4, samples=0,
        )
    )  # fmt: skip
    assert entered == len(conditions)


def test_a_model_that_wants_to_is_told_of_all_conditions_once(tmp_path: Path) -> None:
    told: list[int] = []
    denoiser = mixture()
    denoiser.prepare = lambda conditions: told.append(len(conditions))  # type: ignore[attr-defined]
    scaling.run(study(tmp_path, denoiser=denoiser, block_size=5))
    assert told == [20]
