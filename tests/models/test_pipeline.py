"""Any pipeline through its own call, kept open or whole."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_families import save_family

from scaling.models.pipeline import Pipeline
from scaling.models.whole_solve import WholePipeline, WholeSolve
from scaling.noise import NoiseSpace
from scaling.notices import take_notices
from scaling.protocols import Condition
from scaling.sampling import Euler
from scaling.search.paths import Paths
from scaling.search.random import Random

PROMPTS = ["a red cat on the green table", "two small dogs"]
CONDITIONS = [Condition(prompt=prompt) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: save_family(name, tmp_path_factory.mktemp(name)) for name in ("sd15", "sdxl", "flux2_klein", "qwen_image")
    }


@pytest.fixture
def folder(folders: dict[str, Path]) -> Path:
    return folders["sd15"]


def make(folder: Path, kind: type = Pipeline, **options: Any) -> Any:
    cache = str(folder / "cache") if kind is Pipeline else None
    return kind(**{"path": str(folder), "dtype": "float32", "device": "cpu", "prompt_cache": cache, **options})


def noise(model: Any, rows: int) -> torch.Tensor:
    return torch.randn(rows, *model.latent_shape, generator=torch.Generator().manual_seed(0))


SCHEDULERS = [
    ("leading", None), ("trailing", "PNDMScheduler"), ("leading", "EulerDiscreteScheduler"),
    ("trailing", "EulerAncestralDiscreteScheduler"), ("linspace", "DPMSolverMultistepScheduler"),
    ("trailing", "UniPCMultistepScheduler"), ("leading", "DDPMScheduler"),
]  # fmt: skip


@pytest.mark.parametrize(("spacing", "scheduler"), SCHEDULERS)
def test_solved_step_by_step_it_is_its_own_call(folder: Path, scheduler: str | None, spacing: str) -> None:
    """Of first order, since that is what Euler is; the start of each of diffusers' grids is its own."""
    model = make(folder, scheduler=scheduler, scheduler_options={"timestep_spacing": spacing}, guidance_scale=3.0)
    space = NoiseSpace(0, "k", model.latent_shape, model.schedule, Euler(), 4)
    x, times = noise(model, 1), space.times[None]
    encoded = model.encode(CONDITIONS[:1])
    before = model.networks.rows
    with torch.no_grad():
        solved = Euler().advance(lambda x, t: model(x, t, encoded), model.schedule, space.start(x), times, True)
        own = model.pipe(
            PROMPTS[:1], latents=x, num_inference_steps=4, guidance_scale=3.0, output_type="pt"
        ).images  # fmt: skip
    torch.testing.assert_close(model.decode(solved.x), own, atol=1e-4, rtol=0)
    assert model.networks.rows - before == 4 * model.forwards_per_call == 8


def test_latents_may_lie_otherwise_than_the_call_takes_them(folders: dict[str, Path]) -> None:
    model = make(folders["flux2_klein"], height=8, width=8, options={"text_encoder_out_layers": [1]})
    assert model.latent_shape == (16, 4)  # tokens, where `latents` are [4, 4, 4]
    assert model.decode(noise(model, 2)).shape == (2, 3, 8, 8)


def test_a_prompt_is_encoded_once_ever_and_decoding_asks_no_network(folder: Path, tmp_path: Path) -> None:
    model = make(folder, prompt_cache=str(tmp_path))
    model.prepare(CONDITIONS)
    encoded, before = model.memo.encoded, model.networks.rows
    rows = [0, 1, 1, 0, 1]
    prompts = {name: value[rows] for name, value in model.encode(CONDITIONS).items()}
    for t in (1.0, 0.5):
        model(noise(model, 5), torch.full((5,), t), prompts)
    assert model.networks.rows - before == 2 * 5 * model.forwards_per_call
    model.decode(noise(model, 3))
    assert model.networks.rows - before == 2 * 5 * model.forwards_per_call
    assert model.memo.encoded == encoded
    again = make(folder, prompt_cache=str(tmp_path))
    again.prepare(CONDITIONS)
    assert (again.memo.encoded, again.memo.loaded) == (0, 0)


LONG = "a red cat on the green table and two small dogs of a photo " * 3  # a letter is a token of the tiny tokenizer


@pytest.mark.parametrize("kind", [Pipeline, WholePipeline])
def test_a_prompt_that_is_cut_is_said_every_time(folder: Path, tmp_path: Path, kind: type) -> None:
    conditions = [Condition(prompt="a cat"), Condition(prompt=LONG), Condition(prompt=LONG, copy=1)]
    for _ in range(2):  # encoded, and read from disk
        model = make(folder, kind, prompt_cache=str(tmp_path), negative_prompt=LONG + "away")
        take_notices()
        model.prepare(conditions)
        encoded = model.memo.encoded
        assert "1 prompts were cut: the model reads 77 tokens, and they have more" in take_notices()
    assert encoded == 0


def test_what_one_of_its_text_encoders_reads_whole_is_not_cut(tmp_path: Path) -> None:
    model = make(save_family("sd3", tmp_path / "sd3"), prompt_cache=str(tmp_path))
    take_notices()
    model.prepare([Condition(prompt="two small dogs on a table and " * 10)])  # T5 reads 256 tokens, CLIP 77
    assert take_notices() == []
    model.prepare([Condition(prompt=LONG * 10)])
    assert take_notices() == ["1 prompts were cut: the model reads 256 tokens, and they have more"]


def test_gradients_reach_the_noise_through_call_and_decoding(folder: Path) -> None:
    model, encoded = make(folder), None
    with torch.inference_mode():
        encoded = model.encode(CONDITIONS[:1])
        model(noise(model, 1), torch.tensor([0.5]), encoded)
    x = noise(model, 1).requires_grad_()
    model.decode(model(x, torch.tensor([0.5]), encoded).x0).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_calls_end_with_the_model(folder: Path) -> None:
    before = threading.active_count()
    model = make(folder)
    model(noise(model, 2), torch.tensor([0.5, 0.5]), model.encode(CONDITIONS))
    assert threading.active_count() == before + 2
    del model
    assert threading.active_count() == before


def test_an_error_in_the_call_is_one_line_with_the_pipelines_name(folder: Path) -> None:
    model = make(folder)
    encoded = model.encode(CONDITIONS[:1])
    with pytest.raises(ValueError, match=r"^StableDiffusionPipeline: RuntimeError: .*$"):
        model(torch.zeros(1, 5, 8, 8), torch.tensor([0.5]), encoded)
    model(noise(model, 1), torch.tensor([0.5]), encoded)  # and the next call is open again
    with pytest.raises(ValueError, match="StableDiffusionPipeline: `height` and `width` have to be divisible by 8"):
        make(folder, height=15, width=15)


def test_guidance_of_one_and_less_is_none_and_goes_by_the_calls_own_name(folders: dict[str, Path]) -> None:
    assert [make(folders["sd15"], guidance_scale=g).forwards_per_call for g in (0.0, 1.0, 1.5)] == [1, 1, 2]
    qwen = make(folders["qwen_image"], guidance_scale=3.0, height=16, width=16)
    assert qwen.forwards_per_call == 2
    assert qwen.identity()["call"]["true_cfg_scale"] == 3.0
    assert qwen.identity()["call"]["negative_prompt"] == " "


def test_a_negative_prompt_changes_the_answer(folder: Path) -> None:
    answers = []
    for negative in (None, "two small dogs"):
        model = make(folder, negative_prompt=negative)
        answers.append(model(noise(model, 1), torch.tensor([0.5]), model.encode(CONDITIONS[:1])).eps)
    assert not torch.allclose(*answers)


def test_options_are_obeyed_or_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"options.guidance_rescal: .* did you mean guidance_rescale"):
        make(folder, options={"guidance_rescal": 0.5})
    with pytest.raises(ValueError, match=r"options.height is set elsewhere: model.height"):
        make(folder, options={"height": 64})
    with pytest.raises(ValueError, match="a terminal SNR of zero needs a network that predicts v"):
        make(folder, scheduler="DDIMScheduler", scheduler_options={"rescale_betas_zero_snr": True})
    with pytest.raises(ValueError, match="ScoreSdeVeScheduler is not known here"):
        make(folder, scheduler="ScoreSdeVeScheduler")
    with pytest.raises(ValueError, match="scheduler=Nothing"):
        make(folder, scheduler="Nothing")
    with pytest.raises(ValueError, match="cuts 600 steps into 600 that begin with"):
        make(folder).schedule.grid(600)
    null = make(folder, options={"guidance_rescale": 0.0, "cross_attention_kwargs": None})
    assert null.identity()["call"]["cross_attention_kwargs"] is None


OBEYED = [
    *(("EulerDiscreteScheduler", {f"use_{kind}_sigmas": True}) for kind in ("karras", "exponential", "beta")),
    ("EulerDiscreteScheduler", {"prediction_type": "v_prediction", "timestep_type": "continuous"}),
    ("DDIMScheduler", {"clip_sample": True}), ("DDIMScheduler", {"thresholding": True}),
    ("DDIMScheduler", {
        "prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"
    }),
]  # fmt: skip


@pytest.mark.parametrize(("scheduler", "options"), OBEYED, ids=str)
def test_other_options_of_a_scheduler_are_obeyed(folder: Path, scheduler: str, options: dict[str, Any]) -> None:
    """The check at load holds a solve with them against the pipeline's own."""
    model, plain = make(folder, scheduler=scheduler, scheduler_options=options), make(folder, scheduler=scheduler)
    x, t = noise(model, 1), torch.tensor([0.7])
    answers = [each(x, t, each.encode(CONDITIONS[:1])).x0 for each in (model, plain)]
    cut = not torch.allclose(model.schedule.grid(4), plain.schedule.grid(4))
    assert cut or not torch.allclose(*answers)


def test_a_safety_checker_is_left_out_and_said(folder: Path, tmp_path: Path) -> None:
    from shutil import copytree

    copytree(folder, tmp_path / "checked")
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (tmp_path / "checked" / "model_index.json").write_text(json.dumps(index))
    take_notices()
    make(tmp_path / "checked")
    assert any("its safety checker is left out" in line for line in take_notices())


@pytest.mark.parametrize("kind", [Pipeline, WholePipeline])
def test_images_that_a_pipeline_blackens_are_no_samples(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    """With its safety checker left out no pipeline does so; one of another make might."""
    from diffusers import StableDiffusionPipeline

    model = make(folder, kind)
    assert model.pipe.safety_checker is None
    black = lambda self, image, *rest: (0 * image, [False] * (len(image) - 1) + [True])  # noqa: E731
    monkeypatch.setattr(StableDiffusionPipeline, "run_safety_checker", black)
    encoded = model.encode(CONDITIONS[:1])
    with pytest.raises(ValueError, match=r"^StableDiffusionPipeline blackened an image: its safety checker"):
        if kind is Pipeline:
            model.decode(noise(model, 2))
        else:
            model(noise(model, 1), torch.linspace(1, 0, 3)[None], encoded)


def test_a_watermark_that_only_some_machines_have_is_left_out(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl as library

    class Marks:
        def apply_watermark(self, images: torch.Tensor) -> torch.Tensor:
            return 1 - images

    monkeypatch.setattr(library, "is_invisible_watermark_available", lambda: True)
    monkeypatch.setattr(library, "StableDiffusionXLWatermarker", Marks, raising=False)
    assert make(folders["sdxl"]).pipe.watermark is None


def test_identity_flops_and_errors(folder: Path) -> None:
    model = make(folder, height=32, width=32)
    assert model.gflops() > 0
    json.dumps(model.identity(), allow_nan=False)
    assert model.identity() != make(folder, scheduler="EulerDiscreteScheduler").identity()
    assert model.identity() != make(folder, scheduler_options={"timestep_spacing": "trailing"}).identity()
    with pytest.raises(ValueError, match="needs a prompt"):
        model.encode([Condition(class_label=1)])


def test_a_whole_solve_is_the_pipelines_own_call_prompt_by_prompt(folder: Path) -> None:
    model = make(folder, WholePipeline, guidance_scale=3.0, scheduler="DPMSolverMultistepScheduler")
    x, sampler = noise(model, 2), WholeSolve()
    encoded = {name: value[torch.tensor([1, 0])] for name, value in model.encode(CONDITIONS).items()}
    times = model.schedule.grid(sampler.steps(4)).expand(2, -1)
    solved = sampler.advance(lambda x, t: model(x, t, encoded), model.schedule, x, times, True)
    for row, prompt in enumerate(PROMPTS[::-1]):
        own = model.pipe(
            prompt, latents=x[row : row + 1], num_inference_steps=4, guidance_scale=3.0, output_type="pt"
        ).images  # fmt: skip
        torch.testing.assert_close(model.decode(solved.x)[row : row + 1], own, atol=1e-5, rtol=0)
    assert (sampler.nfe(times), model.forwards_per_call) == (4, 2)


def test_forwards_that_were_not_expected_are_an_error(folder: Path) -> None:
    model = make(folder, WholePipeline, guidance_scale=3.0, scheduler="HeunDiscreteScheduler")
    with pytest.raises(ValueError, match=r"made 10 forwards an image in 3 steps, where 6 were expected"):
        model(noise(model, 1), model.schedule.grid(3).expand(1, -1), model.encode(CONDITIONS[:1]))


def test_searches_of_anything_shorter_are_refused_before_they_start(folder: Path) -> None:
    model = make(folder, WholePipeline)
    space = NoiseSpace(0, "k", model.latent_shape, model.schedule, WholeSolve(), 30)
    assert space.nfe(next(Random()(space)).times) == 30
    with pytest.raises(ValueError, match=r"solves from time 1 to 0 only, not along .*take a search of whole solves"):
        Paths().cost(space)
    with pytest.raises(ValueError, match="sampler is WholeSolve"):
        model(noise(model, 1), torch.tensor([0.5]), model.encode(CONDITIONS[:1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hunyuan_image", "hunyuan_image_distilled"])
def test_what_depends_on_its_history_is_for_whole_solves(name: str, tmp_path: Path) -> None:
    folder = save_family(name, tmp_path)
    size = {"height": 32, "width": 32, "options": {}, "prompt_cache": str(tmp_path / "cache")}
    with pytest.raises(ValueError, match=r"HunyuanImagePipeline.*: take model=whole_pipeline"):
        make(folder, **size)
    model = make(folder, WholePipeline, **size)
    assert model(noise(model, 1), model.schedule.grid(2)[None], model.encode(CONDITIONS[:1])).x0.shape[1] == 3


def test_the_flops_of_encoding_are_known(folder: Path, tmp_path: Path) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model = make(folder, prompt_cache=str(tmp_path / "other"), guidance_scale=1.0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.pipe.encode_prompt(PROMPTS[0], model.device, 1, False)
    assert model.encode_gflops() == counter.get_total_flops() / 1e9 > 0
