"""phases=true: one network on the device at a time, and the same results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from studies import Pixels, Toward, study
from torch import Tensor, nn

import scaling
from scaling.budget import Budget
from scaling.config import build
from scaling.config.compose import grid
from scaling.engine import placement as residents
from scaling.metrics.inception_score import InceptionScore
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.protocols import Condition, Encoded, Prediction
from scaling.runner.study import Study
from scaling.search.zero_order import ZeroOrder

SAME = ("curve.csv", "winners.parquet", "replicates.parquet")


class Device:
    """Stands for a device: says what is there, and that whatever is used is there alone."""

    def __init__(self) -> None:
        self.there: set[nn.Module] = set()
        self.moves = self.uses = 0

    def move(self, network: nn.Module, device: torch.device) -> None:
        self.moves += 1
        self.there.discard(network)
        if device.type == "cpu" and device.index is None:
            return
        self.there.add(network)

    def use(self, network: nn.Module) -> None:
        self.uses += 1
        assert self.there == {network}, "something else is on the device, or what is used is not"


class Vae:
    def __init__(self) -> None:
        self.network = nn.Linear(1, 1)


class Model(GaussianMixture):
    """A mixture with a network and a decoder of its own."""

    def __init__(self, device: Device | None) -> None:
        super().__init__([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2))
        self.network, self.vae, self.watch = nn.Linear(1, 1), Vae(), device
        if device is not None:
            self.device = torch.device("cpu", 0)  # another place than "cpu", with the same arithmetic

    def __call__(self, x: Tensor, t: Tensor, encoded: Encoded) -> Prediction:
        if self.watch is not None:
            self.watch.use(self.network)
        return super().__call__(x, t, encoded)

    def decode(self, x0: Tensor) -> Tensor:
        if self.watch is not None:
            self.watch.use(self.vae.network)
        return super().decode(x0)


class Judge(Toward):
    """A verifier whose network lies in its encoder."""

    def __init__(self, device: Device | None, gray: float, probe: float | None = None) -> None:
        super().__init__(gray, probe)
        self.encoder, self.watch = Vae(), device

    def __call__(self, images: Tensor, conditions: Sequence[Condition], probes: Tensor | None = None) -> Tensor:
        if self.watch is not None:
            self.watch.use(self.encoder.network)
        return super().__call__(images, conditions, None if self.probe is None else probes)


class Extractor(Pixels):
    def __init__(self, device: Device | None) -> None:
        self.networks, self.watch = [nn.Linear(1, 1)], device

    def __call__(self, images: Tensor, conditions: Sequence[Condition]) -> Mapping[str, Tensor]:
        if self.watch is not None:
            self.watch.use(self.networks[0])
        return super().__call__(images, conditions)


def parts(folder: Path, device: Device | None, **changes: Any) -> Study:
    return study(
        folder,
        denoiser=Model(device),
        verifier=Judge(device, 0.7, changes.pop("probe", None)),
        scorers={"dark": Judge(device, 0.1)},
        extractors={"pixels": Extractor(device)},
        metrics={"inception_score": InceptionScore(classes=2, reads="pixels.logits")},
        phases=device is not None,
        **changes,
    )


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    watched = Device()
    monkeypatch.setattr(residents, "move", watched.move)
    return watched


@pytest.mark.parametrize("probe", [None, 0.4])
@pytest.mark.parametrize("final", [4, 6])
def test_only_one_network_is_there_and_nothing_else_changes(
    tmp_path: Path, device: Device, final: int, probe: float | None
) -> None:
    changes = {"budget": Budget(nfes_per_iter=4, final_nfe=final, candidates=[1, 2, 8]), "probe": probe}
    together = scaling.run(parts(tmp_path / "together", None, **changes))
    phased = scaling.run(parts(tmp_path / "phases", device, **changes))
    assert device.uses > 50
    for name in SAME:
        assert (together / name).read_bytes() == (phased / name).read_bytes()
    paid = [json.loads((folder / "cost.json").read_text())["paid"]["nfe"] for folder in (together, phased)]
    assert paid[0] == paid[1]


def test_networks_move_by_the_phase_and_not_by_the_batch(tmp_path: Path, device: Device) -> None:
    def moves(candidates: int) -> int:
        device.moves, device.there = 0, set()
        budget = Budget(nfes_per_iter=4, candidates=[candidates])
        scaling.run(parts(tmp_path / str(candidates), device, budget=budget, batch_size=8, samples=0))
        return device.moves

    assert moves(4) == moves(16)


def test_candidates_that_were_not_kept_are_solved_and_scored_again(tmp_path: Path, device: Device) -> None:
    plain = parts(tmp_path / "phases", None, keep="scores", run="before")
    scaling.run(plain)
    later = parts(tmp_path / "phases", device, run="after")
    later = dataclasses.replace(later, scorers={"gray": Judge(device, 0.4)})
    alone = parts(tmp_path / "alone", None)
    alone = dataclasses.replace(alone, scorers={"gray": Judge(None, 0.4)})
    assert (scaling.run(later) / "curve.csv").read_bytes() == (scaling.run(alone) / "curve.csv").read_bytes()


def test_both_orders_run_in_phases(tmp_path: Path, device: Device) -> None:
    whole = scaling.run(parts(tmp_path / "whole", None))
    climbed = scaling.run(parts(tmp_path / "climbed", device, order="budget"))
    assert (whole / "curve.csv").read_bytes() == (climbed / "curve.csv").read_bytes()


def test_a_closed_loop_cannot_run_in_phases(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="search=zeroorder proposes by scores and cannot run in phases; random can"):
        study(tmp_path, search=ZeroOrder(), phases=True)
    with pytest.raises(ValueError, match=r"needs journal.keep=latents, not winners"):
        study(tmp_path, keep="winners", phases=True)
    with pytest.raises(ValueError, match="raise journal.limit_gb"):
        scaling.run(study(tmp_path, limit=1.0, phases=True))


def test_networks_are_found_where_parts_keep_them() -> None:
    model, judge, extractor = Model(None), Judge(None, 0.7), Extractor(None)
    assert set(residents.networks(model)) == {model.network, model.vae.network}
    assert residents.networks(judge) == [judge.encoder.network]
    assert residents.networks(extractor) == extractor.networks
    assert residents.networks([model.network, {"again": model.network}]) == [model.network]


def test_parts_are_taken_off_the_device_as_they_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[nn.Module] = []
    monkeypatch.setattr(build, "_built", {})
    monkeypatch.setattr(residents, "move", lambda network, device: gone.append(network))
    ((config, said),) = grid(["model=fashion_s", "search=random", f"output_dir={tmp_path}", "phases=true"])
    built = build.study_of(config, said)
    for part in (built.denoiser, built.verifier, *built.extractors.values()):
        assert residents.networks(part)
        assert all(any(network is each for each in gone) for network in residents.networks(part))
    ((config, said),) = grid(["model=fashion_s", "search=random", f"output_dir={tmp_path}"])
    assert build.study_of(config, said).denoiser is not built.denoiser  # a run without turns finds its own in place
