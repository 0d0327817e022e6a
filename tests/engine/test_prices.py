"""What a rung is said to compute is what torch counts while it is computed, by part."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from configs import built
from studies import mixture, study
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.engine.prices import gflops_of
from scaling.models.dit import DiT
from scaling.models.vae import VAE
from scaling.protocols import Condition
from scaling.search.random import Random
from scaling.search.zero_order import ZeroOrder

PARTS = ("decode_gflops", "verify_gflops", "encode_gflops")


def rows(folder: Path) -> list[dict[str, Any]]:
    return list(csv.DictReader((folder / "curve.csv").open()))


@pytest.mark.parametrize("search", [Random(), ZeroOrder()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize(("guidance_scale", "final_nfe"), [(1.0, 2), (2.0, 4)])
def test_the_flops_of_a_rung_are_those_that_torch_counts(
    tmp_path: Path, search: Any, guidance_scale: float, final_nfe: int
) -> None:
    parts = {
        "denoiser": DiT(path="fashion_s", guidance_scale=guidance_scale, device="cpu"),
        "verifier": built("verifier", "classifier"),
        "conditions": ClassLabels(count=2, classes=10),
        "budget": Budget(nfes_per_iter=2, final_nfe=final_nfe, candidates=[3]),
        "search": search, "extractors": {}, "samples": 0, "batch_size": 1,
    }  # fmt: skip
    scaling.run(study(tmp_path / "before", **parts))  # counts the prices
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        folder = scaling.run(study(tmp_path / "counted", **parts))
    top = rows(folder)[-1]
    final = 0.0 if final_nfe == 2 else float(top["verify_gflops"]) / 3  # a final sample is scored, for the record
    assert counter.get_total_flops() / 1e9 == pytest.approx(2 * (float(top["total_gflops"]) + final), rel=1e-9)
    assert float(top["verify_gflops"]) > 0
    assert sum(float(top[name]) for name in ("gflops", *PARTS)) == pytest.approx(float(top["total_gflops"]))


def test_shapes_alone_count_what_computing_counts(tmp_path: Path) -> None:
    from tiny_pipelines import save

    vae = VAE(path=str(save("sd15", tmp_path)), subfolder="vae", device="cpu")

    class Model(DiT):
        latent_shape = (4, 8, 8)

        def __init__(self) -> None:
            super().__init__(path="fashion_s", device="cpu")
            self.latent_shape, self.vae = (4, 8, 8), vae

        def decode(self, x0: torch.Tensor) -> torch.Tensor:
            return self.vae.decode(x0)

    model = Model()
    prices = gflops_of(model, model, built("verifier", "classifier"), Condition(class_label=0), 4, 4)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.decode(torch.zeros(1, 4, 8, 8))
    assert prices.decode == counter.get_total_flops() / 1e9 > 0


def test_parts_without_networks_cost_nothing(tmp_path: Path) -> None:
    (top, *_) = rows(scaling.run(study(tmp_path, denoiser=mixture())))
    assert [float(top[name]) for name in PARTS] == [0, 0, 0]
    assert float(top["total_gflops"]) == float(top["gflops"])


def test_seconds_are_told_by_part(tmp_path: Path) -> None:
    account = json.loads((scaling.run(study(tmp_path, denoiser=mixture())) / "cost.json").read_text())
    parts = account["seconds_by_part"]
    assert tuple(parts) == ("solve", "decode", "verify", "encode")
    assert all(seconds > 0 for seconds in parts.values())
    assert sum(parts.values()) < account["seconds"]
