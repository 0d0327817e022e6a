"""What the first load of a pipeline finds out: facts, kept on disk, and whether an open call answers as its own."""

from __future__ import annotations

import functools
import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scaling.files import replacing
from scaling.models.open_call import said
from scaling.models.pipeline_networks import LoopNetworks
from scaling.models.row_trees import plain, to_cpu
from scaling.models.schedulers import DRAWS
from scaling.protocols import Condition, Denoiser, Prediction
from scaling.sampling import Euler

STEPS = 4  # of the call that is compared: even, since DDIM's strides leave its grid where they do not divide it
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05, "float16": 0.05}  # mean difference of pixels in [0, 1]
REPEATED = {"float32": 1e-4, "bfloat16": 0.02, "float16": 0.02}  # of a clean prediction, in its largest entry


@dataclass(frozen=True)
class Facts:
    """What a first step showed, and the verdict of the check."""

    latents: Tensor  # that the pipeline's own call begins with, one row
    names: list[str]  # of the networks in its loop
    forwards_per_call: int
    gflops: float
    memory: list[Any]  # what the networks answered, and how that grows with rows
    rows: int  # of a prompt that may go together
    decoded: int | None  # rows that may be decoded together; None: as many as fit
    size: list[int]  # height and width of an image, in pixels


def facts_file(folder: Path, identity: Mapping[str, Any]) -> Path:
    """Where the facts of a pipeline lie, by all that decides its answers and by what computes them."""
    import diffusers
    import transformers

    by = {"diffusers": diffusers.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
    text = json.dumps({**identity, **by}, sort_keys=True, default=str)
    return folder / "checks" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.pt"


def read_facts(path: Path, device: torch.device) -> Facts | None:
    """None where there are none, or none that can be read: they are found out again."""
    try:
        return Facts(**torch.load(path, weights_only=True, map_location=device))
    except (OSError, RuntimeError, EOFError, TypeError, pickle.UnpicklingError):
        return None


def write_facts(path: Path, facts: Facts) -> None:
    """Nothing is kept where an answer is of a type that a file should not hold."""
    if plain(facts.memory):
        with replacing(path) as part:
            torch.save(to_cpu(vars(facts)), part)


@dataclass(frozen=True)
class OwnCall:
    """A pipeline's own call of one row: its arguments for so many steps, and the images in its result."""

    pipe: Any
    networks: LoopNetworks
    arguments: Callable[[int], dict[str, Any]]
    images: Callable[[Any], Tensor]

    def __call__(self, steps: int) -> tuple[Tensor, int]:
        """The images, and the forwards that were made for them."""
        scheduler, before = self.pipe.scheduler, self.networks.rows
        clips = scheduler.config.get("clip_sample") or scheduler.config.get("thresholding")
        # DDPM's own drops a learned variance, and follows what it clips
        if type(scheduler).__name__ == "DDIMScheduler":
            scheduler.step = functools.partial(_as_ddpm, scheduler.step, use_clipped_model_output=bool(clips))
        try:
            with self.networks.whole_call():
                images = self.images(self.pipe(**self.arguments(steps)))
        except Exception as error:
            raise said(self.pipe, error) from error
        finally:
            scheduler.__dict__.pop("step", None)
        return images, self.networks.rows - before


@torch.no_grad()
def check(model: Denoiser, own: OwnCall, prompt: str, x: Tensor, dtype: str) -> tuple[bool, bool]:
    """Holds a model against its pipeline's own call, itself a while later, and rows against rows in company.

    `x` is the noise that the own call begins with; `dtype` is that of the networks. Returns whether rows of a prompt
    may go together, and whether they may be decoded together. A ValueError names what else does not hold, with the
    figure.
    """
    steps = 1 if type(own.pipe.scheduler).__name__ in DRAWS else STEPS
    expected, forwards = own(steps)
    encoded = model.encode([Condition(prompt=prompt)])
    times = model.schedule.grid(steps)[None]
    first = model(x, times[:, 0].float(), encoded)
    denoise = lambda x, t: model(x, t.cpu(), encoded)  # noqa: E731
    solved = Euler().advance(denoise, model.schedule, x, times, True).x
    images = model.decode(solved)
    name, limit, repeated = type(own.pipe).__name__, TOLERANCE[dtype], REPEATED[dtype]
    advice = "take model=whole_pipeline, which solves in the pipeline's own loop"
    again = _difference(model(x, times[:, 0].float(), encoded), first)
    if again > repeated:
        raise ValueError(f"{name} answers the same question {again:.1g} apart after {steps} others: {advice}")
    apart = float((images - expected).abs().mean())
    if not apart <= limit:
        raise ValueError(f"{name} solved step by step is {apart:.1g} from its own call (of 1 a pixel): {advice}")
    if forwards != steps * model.forwards_per_call:
        raise ValueError(
            f"{name} made {forwards} forwards in {steps} steps, where {steps * model.forwards_per_call} were expected: "
            f"{advice}"
        )
    both, noises = {key: value.repeat(2) for key, value in encoded.items()}, torch.cat((x, -x))
    time = times[:, 0].float()
    company = model(noises, time.repeat(2), both)
    alone = [first, model(-x, time, encoded)]
    together = all(
        _difference(Prediction(company.x0[i : i + 1], company.eps[i : i + 1]), each) <= repeated
        for i, each in enumerate(alone)
    )
    pair = model.decode(torch.cat((solved, company.x0[1:])))[:1]
    return together, float((pair - images).abs().max()) <= repeated


def _as_ddpm(step: Any, output: Tensor, time: Any, sample: Tensor, *args: Any, **options: Any) -> Any:
    return step(output[:, : sample.shape[1]], time, sample, *args, **options)


def _difference(one: Prediction, two: Prediction) -> float:
    """The largest difference of the clean predictions, in parts of the largest entry."""
    return float((one.x0 - two.x0).abs().max() / two.x0.abs().max().clamp(min=1e-6))
