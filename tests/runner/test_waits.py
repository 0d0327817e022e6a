"""No step of a solve waits for the device: counted on the meta device, whose values nobody can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from device_watch import Copies, Reads, Shapes
from studies import study
from tiny_pipelines import save

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.conditions.shapes import ShapesPrompts
from scaling.models.dit import DiT
from scaling.models.flux import Flux
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.models.sd15 import SD15
from scaling.models.shapes import Shapes as ShapesModel
from scaling.protocols import Condition, Denoiser
from scaling.sampling import Euler, Heun, Sampler
from scaling.search.random import Random
from scaling.search.zero_order import ZeroOrder
from scaling.verifiers.classifier import Classifier

LABELS = [Condition(class_label=0), Condition(class_label=1)]
PROMPTS = [Condition(prompt="a red cat"), Condition(prompt="two small dogs")]


def mixture(folder: Path, device: str) -> tuple[Denoiser, list[Condition]]:
    return GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2), device=device), LABELS


def fashion(folder: Path, device: str) -> tuple[Denoiser, list[Condition]]:
    return DiT(path="fashion_s", guidance_scale=2.0, device=device), LABELS


def shapes(folder: Path, device: str) -> tuple[Denoiser, list[Condition]]:
    return ShapesModel(guidance_scale=2.0, device=device), list(ShapesPrompts(count=2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pipelines are saved once for all samplers."""
    return tmp_path_factory.mktemp("pipelines")


def pipeline(name: str, kind: type, folder: Path, device: str) -> tuple[Denoiser, list[Condition]]:
    """The prompts are encoded on the CPU, since nothing can be encoded on the meta device."""
    path = folder / name
    if not path.exists():
        save(name, path)
    options: dict[str, Any] = {"path": str(path), "height": 32, "width": 32, "prompt_cache": str(folder / "prompts")}
    kind(device="cpu", **options).encode(PROMPTS)
    return kind(device=device, **options), PROMPTS


def flux(folder: Path, device: str) -> tuple[Denoiser, list[Condition]]:
    return pipeline("flux_schnell", Flux, folder, device)


def sd15(folder: Path, device: str) -> tuple[Denoiser, list[Condition]]:
    return pipeline("sd15", SD15, folder, device)


@pytest.mark.parametrize("sampler", [Euler(), Heun()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("make", [mixture, fashion, shapes, flux, sd15])
def test_no_step_reads_from_the_device_or_copies_to_it(folder: Path, make: Any, sampler: Sampler) -> None:
    denoiser, conditions = make(folder, "meta")
    encoded = {name: value.to("meta") for name, value in denoiser.encode(conditions).items()}
    x = torch.empty(2, *denoiser.latent_shape, device="meta")

    def copies(steps: int) -> int:
        times = denoiser.schedule.grid(steps).expand(2, -1)
        with torch.inference_mode(), Copies() as watch:
            solved = sampler.advance(
                lambda x, t: denoiser(x, t, encoded), denoiser.schedule, x, times, True, probe_sigma=0.4
            )
            denoiser.decode(solved.x0)
        return watch.count

    copies(1)  # loads networks
    assert copies(4) == copies(8) <= 3


def test_the_watch_sees_a_copy_in_every_step() -> None:
    x, t = torch.empty(3, device="meta"), torch.arange(3.0)
    with Copies() as watch:
        for step in t:
            x = x + step.to("meta")
    assert watch.count == 3
    with pytest.raises(RuntimeError, match="meta tensors"):
        bool(x[0] > 0)
    with Reads() as reads:
        assert bool(t[0] == 0) and t[1].item() == t.tolist()[1] == float(t[1])
    assert reads.count == 4


@pytest.mark.parametrize("search", [Random(), ZeroOrder()], ids=lambda s: type(s).__name__)
def test_a_run_reads_as_often_whatever_its_steps(tmp_path: Path, search: Any) -> None:
    def reads(steps: int) -> int:
        budget = Budget(nfes_per_iter=steps, candidates=[1, 4])
        with Reads() as watch:
            scaling.run(study(tmp_path / str(steps), search=search, budget=budget))
        return watch.count

    assert reads(10) == reads(20) > 0


def test_no_operation_sees_another_shape_in_a_longer_run(tmp_path: Path) -> None:
    denoiser, classifier = DiT(path="fashion_s"), Classifier()

    denoiser.gflops()  # which sees a batch of one, once

    def seen(run: str, count: int) -> Shapes:
        options: dict[str, Any] = {"verifier": classifier, "denoiser": denoiser, "extractors": {}, "batch_size": 4}
        conditions = ClassLabels(count=5, classes=10)
        budget = Budget(nfes_per_iter=2, candidates=count, final_nfe=3)
        with Shapes() as watch:
            scaling.run(study(tmp_path, run=run, conditions=conditions, budget=budget, **options))
        return watch

    short, long = seen("short", 1), seen("long", 7)
    assert len(short.seen) > 5
    assert long.seen.keys() == short.seen.keys()
    assert long.seen.total() > 2 * short.seen.total()
