"""Any pipeline through its public call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipelines import save

from scaling.models.pipeline import Pipeline, WholeSolve
from scaling.noise import NoiseSpace
from scaling.protocols import Condition
from scaling.sampling import Euler
from scaling.search.paths import Paths
from scaling.search.random import Random

PROMPTS = ["a red cat on the green table", "two small dogs"]
CONDITIONS = [Condition(prompt=prompt) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("sd15", tmp_path_factory.mktemp("sd15"))


def make(folder: Path, **options: Any) -> Pipeline:
    return Pipeline(path=str(folder), dtype="float32", device="cpu", **options)


def test_a_whole_solve_is_the_pipelines_own_call(folder: Path) -> None:
    from diffusers import StableDiffusionPipeline

    model, sampler, steps = make(folder, guidance_scale=3.0), WholeSolve(), 4
    assert model.latent_shape == (4, 8, 8)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    encoded = {name: value[torch.tensor([1, 0])] for name, value in model.encode(CONDITIONS).items()}
    times = model.schedule.grid(sampler.steps(steps)).expand(2, -1)
    solved = sampler.advance(lambda x, t: model(x, t, encoded), model.schedule, x, times, True)
    pipe = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    expected = pipe(
        PROMPTS[::-1], latents=x, num_inference_steps=steps, guidance_scale=3.0, output_type="pt"
    ).images  # fmt: skip
    torch.testing.assert_close(model.decode(solved.x), expected, atol=1e-5, rtol=0)
    assert sampler.nfe(times) == steps
    assert model.forwards_per_call == 2


def test_stochastic_schedulers_are_made_repeatable(folder: Path) -> None:
    model = make(folder, guidance_scale=1.0, scheduler="EulerAncestralDiscreteScheduler")
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    times, encoded = model.schedule.grid(3).expand(1, -1), model.encode(CONDITIONS[:1])
    first, again = (model(x, times, encoded).x0 for _ in range(2))
    assert torch.equal(first, again)
    both = model(torch.cat((-x, x)), times.expand(2, -1), {"prompt": torch.tensor([0, 0])}).x0
    torch.testing.assert_close(both[1:], first, atol=1e-5, rtol=0)


def test_forwards_that_were_not_expected_are_an_error(folder: Path) -> None:
    x = torch.zeros(1, 4, 8, 8)
    model = make(folder, guidance_scale=3.0, scheduler="HeunDiscreteScheduler")
    with pytest.raises(ValueError, match=r"made 10 forwards an image in 3 steps, where 6 were expected"):
        model(x, model.schedule.grid(3).expand(1, -1), model.encode(CONDITIONS[:1]))


def test_searches_of_anything_shorter_are_refused_before_they_start(folder: Path) -> None:
    model = make(folder)
    space = NoiseSpace(0, "k", model.latent_shape, model.schedule, WholeSolve(), 30)
    proposal = next(Random()(space))
    assert space.nfe(proposal.times) == 30
    with pytest.raises(ValueError, match=r"solves from time 1 to 0 only, not along .*take a search of whole solves"):
        Paths().cost(space)
    with pytest.raises(ValueError, match="sampler is WholeSolve"):
        times = model.schedule.grid(3).expand(1, -1)
        Euler().advance(
            lambda x, t: model(x, t, {"prompt": torch.zeros(1)}), model.schedule, torch.zeros(1, 4, 8, 8), times, True
        )


def test_identity_flops_and_errors(folder: Path) -> None:
    model = make(folder, height=32, width=32)
    assert model.gflops() > 0
    json.dumps(model.identity())
    assert model.identity() != make(folder, scheduler="DDPMScheduler").identity()
    with pytest.raises(ValueError, match="scheduler=Nothing"):
        make(folder, scheduler="Nothing")
    with pytest.raises(ValueError, match="needs a prompt"):
        model.encode([Condition(class_label=1)])
