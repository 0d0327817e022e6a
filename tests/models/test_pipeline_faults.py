"""A pipeline's call that fails, hangs or goes its own way is one line with its name, and leaves no thread behind it."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AudioPipelineOutput, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from tiny_families import save_family

from scaling.models import open_call
from scaling.models.pipeline import Pipeline
from scaling.models.whole_solve import WholePipeline
from scaling.protocols import Condition


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family("sd15", tmp_path_factory.mktemp("sd15"))


def make(folder: Path) -> Pipeline:
    return Pipeline(path=str(folder), dtype="float32", device="cpu", prompt_cache=str(folder / "cache"), check=False)


def loop(inside: Callable[[Any, Any], Any]) -> Any:
    """A call whose loop does what is given, at each time."""

    def call(
        self: Any, prompt: Any = None, num_inference_steps: int = 50, output_type: str = "pil", latents: Any = None
    ) -> Any:
        self.scheduler.set_timesteps(num_inference_steps)
        for time in self.scheduler.timesteps:
            inside(self, time)
        return None

    return call


def fails(pipe: Any, time: Any) -> None:
    raise KeyError("two\nlines")


def hangs(pipe: Any, time: Any) -> None:
    threading.Event().wait(20)


CASES = {
    "raises": (fails, r"^StableDiffusionPipeline: KeyError: 'two\\nlines'$"),
    "hangs": (hangs, r"^StableDiffusionPipeline has come to no step in 0\.5 seconds$"),
    "never steps": (
        lambda pipe, time: None,
        r"^StableDiffusionPipeline: its loop goes on without a step of its scheduler$",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_call_does_is_one_line(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, line = CASES[case]
    monkeypatch.setattr(open_call, "ANSWER", 0.5)
    monkeypatch.setattr(open_call, "PATIENCE", 0.1)
    monkeypatch.setattr(StableDiffusionPipeline, "__call__", loop(inside))
    with pytest.raises(ValueError, match=line):
        make(folder)


def test_a_call_without_times_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(self: Any, prompt: Any = None, num_inference_steps: int = 50, output_type: str = "pil") -> Any:
        return None

    monkeypatch.setattr(StableDiffusionPipeline, "__call__", call)
    with pytest.raises(ValueError, match="StableDiffusionPipeline: it went through no timesteps of its scheduler"):
        make(folder)


@pytest.mark.parametrize("name", ["num_frames", "video_length", "frames"])
def test_a_video_is_refused_by_its_name(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(self: Any, prompt: Any = None, num_inference_steps: int = 50, output_type: str = "pil") -> Any:
        return None

    takes = inspect.signature(call)
    frames = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=16)
    call.__signature__ = takes.replace(parameters=[*takes.parameters.values(), frames])  # type: ignore[attr-defined]
    monkeypatch.setattr(StableDiffusionPipeline, "__call__", call)
    with pytest.raises(ValueError, match="StableDiffusionPipeline makes videos: .* no frames"):
        make(folder)


@pytest.mark.parametrize("kind", [Pipeline, WholePipeline])
def test_an_image_that_is_wanted_is_named(kind: type, folder: Path, tmp_path: Path) -> None:
    plain = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    StableDiffusionImg2ImgPipeline(**plain.components, requires_safety_checker=False).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"^StableDiffusionImg2ImgPipeline: .*its call takes image, which nothing"):
        kind(path=str(tmp_path), dtype="float32", device="cpu", prompt_cache=str(folder / "cache"))


def test_a_result_without_images_says_what_it_has(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = StableDiffusionPipeline.__call__

    def call(self: Any, **options: Any) -> Any:
        return AudioPipelineOutput(audios=own(self, **options).images)

    call.__signature__ = inspect.signature(own)  # type: ignore[attr-defined]
    monkeypatch.setattr(StableDiffusionPipeline, "__call__", call)
    with pytest.raises(ValueError, match=r"^StableDiffusionPipeline gives no images but audios for output_type=pt$"):
        make(folder)


def test_an_error_within_a_loop_closes_that_call_alone(folder: Path) -> None:
    model = make(folder)
    encoded = model.encode([Condition(prompt="a red cat")])
    network, fail = model.pipe.unet.forward, True

    def forward(*args: Any, **options: Any) -> Any:
        if fail:
            raise RuntimeError("a kernel\nfailed")
        return network(*args, **options)

    model.pipe.unet.forward = forward
    x, t = torch.zeros(1, *model.latent_shape), torch.tensor([0.5])
    before = threading.active_count()
    with pytest.raises(ValueError, match=r"^StableDiffusionPipeline: RuntimeError: a kernel failed$"):
        model(x, t, encoded)
    assert threading.active_count() == before
    fail = False
    model(x, t, encoded)
