"""Whether an open call answers as the pipeline's own call does: asked of the real weights, before any search."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scaling.models.open_call import said
from scaling.models.pipeline_networks import LoopNetworks
from scaling.models.schedulers import DRAWS
from scaling.protocols import Condition, Denoiser, Prediction
from scaling.sampling import Euler

STEPS = 4  # of the call that is compared: even, since DDIM's strides leave its grid where they do not divide it
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05, "float16": 0.05}  # mean difference of pixels in [0, 1]
REPEATED = {"float32": 1e-4, "bfloat16": 0.02, "float16": 0.02}  # of a clean prediction, in its largest entry


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
        if (
            type(scheduler).__name__ == "DDIMScheduler"
        ):  # DDPM's own drops a learned variance, and follows what it clips
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
