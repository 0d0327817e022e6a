"""What the benchmarks share: clocks, scratch folders, small pipelines and what a run paid."""

from __future__ import annotations

import atexit
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

import scaling
from scaling.conditions.class_labels import ClassLabels
from scaling.conditions.shapes import ShapesPrompts
from scaling.models.dit import DiT
from scaling.models.flux import Flux
from scaling.models.sdxl import SDXL
from scaling.models.shapes import Shapes
from scaling.models.text_to_image import TextToImage
from scaling.protocols import Condition, Denoiser, Verifier
from scaling.runner.study import Study
from scaling.verifiers.classifier import Classifier
from scaling.verifiers.shapes_clip import ShapesClip

TOKENS = 16  # of a small pipeline's prompt
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))  # the small text encoders, tokenizers and VAEs of the tests


@dataclass(frozen=True)
class Took:
    """Seconds by the wall and of this process's own CPU time, which other processes do not disturb as much."""

    wall: float
    cpu: float

    def over(self, other: Took) -> dict[str, float]:
        return {"wall": self.wall / other.wall, "cpu": self.cpu / other.cpu}

    def __add__(self, other: Took) -> Took:
        return Took(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Took) -> Took:
        return Took(self.wall - other.wall, self.cpu - other.cpu)

    def __mul__(self, factor: float) -> Took:
        return Took(self.wall * factor, self.cpu * factor)


def quiet() -> None:
    """No bars of diffusers and transformers between the lines."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def now() -> Took:
    """Both clocks, once the device is at rest."""
    synchronize()
    return Took(time.perf_counter(), time.process_time())


def timed(call: Callable[[], Any]) -> Took:
    before = now()
    call()
    return now() - before


def median(times: Sequence[Took]) -> Took:
    return Took(statistics.median(t.wall for t in times), statistics.median(t.cpu for t in times))


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="scaling-bench-") as folder:
        yield Path(folder)


def paid(study: Study) -> dict[str, int]:
    """Runs a study and says what was paid for it."""
    return dict(json.loads((scaling.run(study) / "cost.json").read_text())["paid"])


class Prompts(list[Condition]):
    """Prompts as the conditions of a study."""

    def identity(self) -> dict[str, Any]:
        return {"prompts": [condition.prompt for condition in self]}


def words(count: int) -> Prompts:
    """Different short prompts that the small tokenizers know."""
    colors = ("red", "green", "small")
    nouns, places = ("cat", "table", "dogs", "photo"), ("on the table", "of a cat", "and two dogs", "on a photo")
    return Prompts(
        Condition(prompt=f"a {colors[i % 3]} {nouns[i % 4]} {places[i // 4 % 4]}", copy=i // 48) for i in range(count)
    )


@cache
def saved(name: str) -> Path:
    """A small random pipeline in diffusers' format whose network takes nearly all the time, as in the full size."""
    from tiny_pipelines import clip_text, clip_tokenizer, ddim, t5, t5_tokenizer, vae

    quiet()
    folder = Path(tempfile.mkdtemp(prefix=f"scaling-bench-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    torch.manual_seed(0)
    if name.startswith("flux"):
        from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

        heads = 4 if name == "flux_wide" else 1
        network = FluxTransformer2DModel(
            in_channels=16, num_layers=2, num_single_layers=4, attention_head_dim=32, num_attention_heads=heads,
            joint_attention_dim=64, pooled_projection_dim=64, guidance_embeds=True, axes_dims_rope=(8, 12, 12),
        )  # fmt: skip
        scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
        parts = (vae(4, 0.3611, 0.1159), clip_text(64), clip_tokenizer(), t5(64), t5_tokenizer(), network)
        FluxPipeline(scheduler, *parts).save_pretrained(folder)
    else:
        from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel

        network = UNet2DConditionModel(
            sample_size=16, block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8, cross_attention_dim=96,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), attention_head_dim=16,
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), addition_embed_type="text_time",
            addition_time_embed_dim=8, projection_class_embeddings_input_dim=112, transformer_layers_per_block=(1, 2),
        )  # fmt: skip
        texts = (clip_text(32), clip_text(64, 64), clip_tokenizer(), clip_tokenizer())
        StableDiffusionXLPipeline(vae(4, 0.13025), *texts, network, ddim()).save_pretrained(folder)
    return folder


def pipeline_model(name: str, prompts: Path, size: int = 32) -> TextToImage:
    """`flux`, `flux_wide` or `sdxl` in small, `size` pixels; encoded prompts are kept under `prompts`."""
    options = {"path": str(saved(name)), "height": size, "width": size, "dtype": "float32"}
    options["prompt_cache"] = str(prompts)
    if name.startswith("flux"):
        return Flux(guidance_scale=3.5, max_tokens=TOKENS, **options)
    return SDXL(guidance_scale=5.0, **options)


def parts(name: str, count: int, prompts: Path) -> tuple[Denoiser, Any, Verifier]:
    """A model that the benchmarks share by its name, so many conditions for it, and a verifier."""
    if name.startswith("fashion"):
        return DiT(path=name), ClassLabels(count=count, classes=10), Classifier()
    if name == "shapes":
        return Shapes(guidance_scale=2.0), ShapesPrompts(count=count), ShapesClip()
    return pipeline_model(name, prompts), words(count), Grays()


def loaded(folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> Any:
    """A saved pipeline as a user of diffusers calls it."""
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True).to(device)
    pipe.set_progress_bar_config(disable=True)
    return pipe


class Grays:
    """A verifier that costs next to nothing."""

    differentiable = True
    probe_sigma: float | None = None

    def __call__(self, images: torch.Tensor, conditions: Any, probes: torch.Tensor | None = None) -> torch.Tensor:
        return -(images.flatten(1) - 0.7).square().mean(1)

    def identity(self) -> dict[str, Any]:
        return {"class": "Grays"}
