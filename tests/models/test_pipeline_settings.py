"""Whatever a pipeline's files and options say is obeyed or refused: nothing stays of other classes, caches or rows."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import diffusers
import pytest
import torch
from brightness import Brightness
from safetensors.torch import load_file, save_file
from studies import study
from tiny_families import FAMILIES, save_family

import scaling
from scaling.budget import Budget
from scaling.conditions.prompts import Prompts
from scaling.engine import batches
from scaling.models.library_schedules import FlowMatch
from scaling.models.pipeline import Pipeline
from scaling.models.sdxl import SDXL
from scaling.models.whole_solve import WholePipeline
from scaling.protocols import Condition

CONDITIONS = [Condition(prompt=prompt) for prompt in ("a red cat on the green table", "two small dogs")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    names = ("sd15", "sdxl", "flux2_klein", "flux_dev", "z_image")
    return {name: save_family(name, tmp_path_factory.mktemp(name)) for name in names}


def make(folder: Path, kind: Any = Pipeline, **options: Any) -> Any:
    cache = str(folder / "cache") if kind is Pipeline else None
    return kind(**{"path": str(folder), "dtype": "float32", "device": "cpu", "prompt_cache": cache, **options})


def noise(model: Any, rows: int) -> torch.Tensor:
    return torch.randn(rows, *model.latent_shape, generator=torch.Generator().manual_seed(0))


def changed(folder: Path, copy: Path, **entries: Any) -> Path:
    """A copy whose model_index.json says otherwise."""
    copytree(folder, copy, ignore=lambda *_: ["cache"])
    index = json.loads((folder / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps({**index, **entries}))
    return copy


@pytest.mark.parametrize("name", ["flux2_klein", "z_image"])
def test_a_part_of_a_solve_bends_time_as_the_whole_does(folders: dict[str, Path], name: str) -> None:
    """FLUX.2's shift depends on the number of steps: its grid of a thousand is bent the other way."""
    family = FAMILIES[name]
    model = make(folders[name], height=family.height, width=family.height, options=family.options)
    whole = model.schedule.grid(20)
    span = float(whole[8])
    rest = model.schedule.grid(round(20 * span), span, 0.0)
    strides, around = -rest.diff(), -whole[8:].diff()
    assert float(strides.max()) <= 2 * float(around.max())
    again = model.schedule.grid(20, 1.0 - 1e-9, 0.0)  # all but the whole
    torch.testing.assert_close(again, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "EulerDiscreteScheduler"])
def test_a_final_solve_is_the_pipelines_own_wherever_it_begins(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    """With leading spacing a solve's first time depends on its steps."""
    karras = {} if scheduler == "DDIMScheduler" else {"use_karras_sigmas": True}
    model = make(
        folders["sd15"], guidance_scale=3.0, scheduler=scheduler,
        scheduler_options={"timestep_spacing": "leading", **karras},
    )  # fmt: skip
    assert float(model.schedule.grid(4)[0]) < 1
    solved, solve = [], batches.Batches.solve
    monkeypatch.setattr(batches.Batches, "solve", lambda *a: solved.extend(r.times for r in a[1]) or solve(*a))
    (tmp_path / "prompts.txt").write_text("two small dogs\n")
    scaling.run(
        study(
            tmp_path, denoiser=model, conditions=Prompts(path=str(tmp_path / "prompts.txt")), verifier=Brightness(),
            budget=Budget(nfes_per_iter=4, candidates=[1], final_nfe=8), samples=0, extractors={}, names={},
        )
    )  # fmt: skip
    assert [len(times) - 1 for times in solved] == [4, 8]
    torch.testing.assert_close(solved[1], model.schedule.grid(8))


def test_a_final_solve_that_cannot_be_cut_is_refused_first(folders: dict[str, Path], tmp_path: Path) -> None:
    model = make(folders["sd15"], guidance_scale=3.0)
    with pytest.raises(ValueError, match="budget.final_nfe: DDIMScheduler cuts 600 steps into 600 that begin with"):
        study(
            tmp_path, denoiser=model, verifier=Brightness(), extractors={}, names={},
            budget=Budget(nfes_per_iter=4, candidates=[1], final_nfe=600),
        )  # fmt: skip


@pytest.mark.parametrize("kind", [Pipeline, SDXL])
def test_the_index_decides_how_an_empty_prompt_is_encoded_whatever_is_cached(
    folders: dict[str, Path], tmp_path: Path, kind: type
) -> None:
    shared = {"prompt_cache": str(tmp_path / "cache"), "guidance_scale": 5.0}
    other = changed(folders["sdxl"], tmp_path / "other", force_zeros_for_empty_prompt=False)
    zeros, empty = (make(folder, kind, **shared) for folder in (folders["sdxl"], other))
    fresh = make(other, kind, **{**shared, "prompt_cache": str(tmp_path / "fresh")})
    x, t = noise(zeros, 1), torch.tensor([0.5])
    answers = [each(x, t, each.encode(CONDITIONS[:1])).eps for each in (zeros, empty, fresh)]
    assert torch.equal(answers[1], answers[2])
    assert not torch.allclose(answers[0], answers[1])
    assert zeros.identity() != empty.identity() == fresh.identity()


def test_keys_that_from_config_leaves_of_another_class_do_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = changed(folders["sd15"], tmp_path / "copy", scheduler=["diffusers", "EulerAncestralDiscreteScheduler"])
    config = json.loads((copy / "scheduler" / "scheduler_config.json").read_text())
    before = diffusers.DPMSolverMultistepScheduler.from_config({**config, "use_karras_sigmas": True})
    left = diffusers.EulerAncestralDiscreteScheduler.from_config(before.config)
    left.save_pretrained(copy / "scheduler")
    assert left.config["use_karras_sigmas"]
    left.set_timesteps(8)
    grid = make(copy).schedule.grid(8)
    torch.testing.assert_close(grid[:-1] * 1000 - 1, left.timesteps.double(), atol=1e-2, rtol=0)


def test_a_class_without_a_spacing_has_its_own(folders: dict[str, Path]) -> None:
    model = make(folders["sd15"], scheduler="DPMSolverSinglestepScheduler")  # of a repository that says leading
    own = diffusers.DPMSolverSinglestepScheduler.from_config(model.pipe.scheduler.config)
    own.set_timesteps(8)
    torch.testing.assert_close(model.schedule.grid(8)[:-1] * 1000 - 1, own.timesteps.double(), atol=1e-2, rtol=0)


def test_a_flow_schedulers_left_over_shift_does_nothing() -> None:
    left = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 6.0, "flow_shift": 3.0}
    assert FlowMatch.from_scheduler(left, 64, given=False).shift == 6.0
    assert FlowMatch.from_scheduler({**left, "_class_name": "UniPCMultistepScheduler"}, 64, given=False).shift == 3.0
    dynamic = {"_class_name": "UniPCMultistepScheduler", "flow_shift": 1.0, "use_dynamic_shifting": True}
    with pytest.raises(ValueError, match="UniPCMultistepScheduler with use_dynamic_shifting: model=pipeline obeys it"):
        FlowMatch.from_scheduler(dynamic, 64, given=False)


@pytest.mark.parametrize("scheduler", ["EulerAncestralDiscreteScheduler", "DDPMScheduler", "LCMScheduler", None])
def test_a_whole_solve_that_draws_does_not_depend_on_its_company(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, scheduler: str | None
) -> None:
    if scheduler is None:  # one that draws without the generator that it is given
        noisy = lambda self, x, t: x + 0.1 * torch.randn_like(x)  # noqa: E731
        monkeypatch.setattr(diffusers.DDIMScheduler, "scale_model_input", noisy)
    model = make(folders["sd15"], WholePipeline, guidance_scale=3.0, scheduler=scheduler)
    encoded = {name: value.repeat(3) for name, value in model.encode(CONDITIONS[:1]).items()}
    x, times = noise(model, 3), model.schedule.grid(4).expand(3, -1)
    together = model(x, times, encoded).x0
    for row in range(3):
        own = {name: value[row : row + 1] for name, value in encoded.items()}
        alone = model(x[row : row + 1], times[:1], own).x0
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("kind", [Pipeline, SDXL])
def test_a_part_with_missing_weights_is_refused(
    folders: dict[str, Path], tmp_path: Path, part: str, kind: type
) -> None:
    copy = changed(folders["sdxl"], tmp_path / "copy")
    file = next((copy / part).glob("*.safetensors"))
    weights = load_file(file)
    gone = sorted(weights)[5]
    save_file({name: value for name, value in weights.items() if name != gone}, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"{part} lacks .*\(1 weights are missing\)"):
        model = make(copy, kind, prompt_cache=str(tmp_path / "cache"))
        x = noise(model, 1)
        model.decode(model(x, torch.tensor([0.5]), model.encode(CONDITIONS[:1])).x0)


def test_a_negative_prompt_that_cannot_act_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="'dogs': StableDiffusionPipeline makes one forward a step here, in which it"):
        make(folders["sd15"], guidance_scale=1.0, negative_prompt="dogs")
    assert "negative_prompt" in make(folders["sd15"], guidance_scale=3.0).settings
    assert "negative_prompt" not in make(folders["sd15"], guidance_scale=1.0).settings
    flux = folders["flux_dev"]
    assert make(flux).settings == {"guidance_scale"}
    with pytest.raises(ValueError, match=r"'dogs': FluxPipeline .*; give model.options.true_cfg_scale, as 4"):
        make(flux, negative_prompt="dogs")
    with pytest.raises(ValueError, match=r"true_cfg_scale: FluxPipeline leads away from nothing: give model.negative"):
        make(flux, options={"true_cfg_scale": 4.0})
    model = make(flux, negative_prompt="dogs", options={"true_cfg_scale": 4.0})
    assert model.forwards_per_call == 2
    x, t = noise(model, 1), torch.tensor([0.5])
    plain = make(flux)
    assert not torch.allclose(*(each(x, t, each.encode(CONDITIONS[:1])).x0 for each in (model, plain)))


def test_options_that_could_do_nothing_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"model.options.eta: the search steps here"):
        make(folders["sd15"], options={"eta": 1.0})
    with pytest.raises(ValueError, match=r"scheduler_options.use_karras_sigmas: DDIMScheduler has none"):
        make(folders["sd15"], scheduler_options={"use_karras_sigmas": True})
    typo = {"use_karas_sigmas": True}
    with pytest.raises(ValueError, match=r"use_karas_sigmas: Euler.* has none; did you mean use_karras_sigmas\?"):
        make(folders["sd15"], scheduler="EulerDiscreteScheduler", scheduler_options=typo)


def test_how_rows_grow_is_known_for_each_way_of_encoding(folders: dict[str, Path], tmp_path: Path) -> None:
    """Without guidance a first load knows of no negative prompt: what it kept is none of the guided ones'."""
    cache = str(tmp_path / "cache")
    make(folders["sdxl"], prompt_cache=cache, guidance_scale=1.0)
    model = make(folders["sdxl"], prompt_cache=cache, guidance_scale=3.0)
    rows: list[int] = []
    model.pipe.unet.down_blocks[0].register_forward_hook(lambda *args: rows.append(len(args[2][0])))
    asked = model.encode(CONDITIONS[:1])["prompt"].repeat(4)
    model(noise(model, 4), torch.full((4,), 0.5), {"prompt": asked})
    assert max(rows) == 8  # four rows, twice, together
