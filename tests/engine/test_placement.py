"""A model with `offload` has judges beside it that are on the device only while they are at work."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from studies import Pixels, Toward, study
from torch import Tensor, nn

import scaling
from scaling.budget import Budget
from scaling.config.build import shares_device
from scaling.engine import placement
from scaling.metrics.inception_score import InceptionScore
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.protocols import Condition, Encoded, Prediction
from scaling.search.zero_order import ZeroOrder

PARTS = ("decode_gflops", "verify_gflops", "encode_gflops", "total_gflops")  # of networks, which the plain parts lack


def bare(path: Path) -> object:
    """A file's bytes; of a curve all rows without the columns of `PARTS`."""
    if path.name != "curve.csv":
        return path.read_bytes()
    with path.open() as file:
        return [{key: value for key, value in row.items() if key not in PARTS} for row in csv.DictReader(file)]


SAME = ("curve.csv", "winners.parquet", "replicates.parquet")


class Device:
    """Stands for a device: says what is there, and that whatever is used is there alone."""

    def __init__(self) -> None:
        self.there: set[nn.Module] = set()
        self.uses = 0

    def move(self, network: nn.Module, device: torch.device) -> None:
        self.there.discard(network)
        if device.index is not None:
            self.there.add(network)

    def use(self, network: nn.Module) -> None:
        self.uses += 1
        assert self.there == {network}, "something else is on the device, or what is used is not"


class Box:
    def __init__(self) -> None:
        self.network = nn.Linear(1, 1)


class Model(GaussianMixture):
    """A mixture that moves a network and a decoder of its own."""

    offload = "model"

    def __init__(self, device: Device) -> None:
        super().__init__([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2))
        self.network, self.vae, self.watch = nn.Linear(1, 1), Box(), device
        self.device = torch.device("cpu", 0)  # another place than "cpu", with the same arithmetic

    def release(self) -> None:
        self.watch.there -= {self.network, self.vae.network}

    def __call__(self, x: Tensor, t: Tensor, encoded: Encoded) -> Prediction:
        self._alone(self.network)
        return super().__call__(x, t, encoded)

    def decode(self, x0: Tensor) -> Tensor:
        self._alone(self.vae.network)
        return super().decode(x0)

    def _alone(self, network: nn.Module) -> None:
        self.release()
        self.watch.there.add(network)
        self.watch.use(network)


class Judge(Toward):
    """A verifier whose network lies in its encoder."""

    def __init__(self, device: Device, gray: float) -> None:
        super().__init__(gray)
        self.encoder, self.watch = Box(), device

    def __call__(self, images: Tensor, conditions: Sequence[Condition], probes: Tensor | None = None) -> Tensor:
        self.watch.use(self.encoder.network)
        return super().__call__(images, conditions)


class Extractor(Pixels):
    def __init__(self, device: Device) -> None:
        self.networks, self.watch = [nn.Linear(1, 1)], device

    def __call__(self, images: Tensor, conditions: Sequence[Condition]) -> Mapping[str, Tensor]:
        self.watch.use(self.networks[0])
        return super().__call__(images, conditions)


@pytest.mark.parametrize("changes", [{}, {"search": ZeroOrder()}, {"budget": Budget(4, 6, candidates=[1, 2])}])
def test_only_one_network_is_there_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    device = Device()
    monkeypatch.setattr(placement, "move", device.move)
    metrics = {"inception_score": InceptionScore(classes=2, feature="pixels.logits")}
    names = {"model": "mixture", "verifier": "gray"}
    together = scaling.run(
        study(tmp_path / "together", scorers={"dark": Toward(0.1)}, metrics=metrics, names=names, **changes)
    )
    parts = {
        "denoiser": Model(device),
        "verifier": Judge(device, 0.7),
        "scorers": {"dark": Judge(device, 0.1)},
        "extractors": {"pixels": Extractor(device)},
    }
    in_turns = scaling.run(study(tmp_path / "turns", metrics=metrics, names=names, **{**parts, **changes}))
    assert device.uses > 50
    for name in SAME:
        assert bare(together / name) == bare(in_turns / name)


def test_networks_are_found_where_parts_keep_them() -> None:
    device = Device()
    model, judge, extractor = Model(device), Judge(device, 0.7), Extractor(device)
    assert set(placement.networks(model)) == {model.network, model.vae.network}
    assert placement.networks(judge) == [judge.encoder.network]
    assert placement.networks(extractor) == extractor.networks
    assert placement.networks([model.network, {"again": model.network}]) == [model.network]


def test_an_old_configuration_is_read_and_phases_are_refused() -> None:
    assert not shares_device({"phases": False, "model": {}})
    assert shares_device({"model": {"offload": "model"}})
    with pytest.raises(ValueError, match=r"phases=true is gone: model.offload=model moves"):
        shares_device({"phases": True, "model": {}})
