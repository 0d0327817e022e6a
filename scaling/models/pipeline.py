"""Any text-to-image pipeline of diffusers by its id, through its public call: for searches that need whole solves only.

What lies between noise and image is the pipeline's own business, so here a "clean sample" is the image itself, and time
has no meaning between 1 and 0. `WholeSolve` is the sampler that goes with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.loading.networks import pick_device
from scaling.models.dit import DTYPES
from scaling.models.repository import Repository
from scaling.protocols import Condition, Denoise, Encoded, Prediction, Schedule
from scaling.sampling import Solved
from scaling.schedules import Flow


class WholeSolve:
    """Hands whole trajectories over to a `Pipeline`; anything shorter is a ValueError."""

    def steps(self, nfe: int) -> int:
        if nfe < 1:
            raise ValueError(f"a pipeline cannot spend nfe={nfe}; the least is 1")
        return nfe

    def nfe(self, times: Tensor, score: bool = True) -> int:
        """One evaluation a step; a ValueError where the times are not those of a whole solve."""
        if times.shape[-1] < 2 or bool((times[..., 0] != 1).any()) or bool((times[..., -1] != 0).any()):
            shown = [round(float(t), 3) for t in times.reshape(-1, times.shape[-1])[0]]
            raise ValueError(
                f"model=pipeline solves from time 1 to 0 only, not along {shown[:3]}...{shown[-1:]}: take a search of "
                f"whole solves (random, zero_order, evolutionary at time 1), or a model that has its own adapter"
            )
        return times.shape[-1] - 1

    def advance(
        self,
        denoise: Denoise,
        schedule: Schedule,
        x: Tensor,
        times: Float[Tensor, "n steps+1"],
        score: bool,
        probe: float | None = None,
    ) -> Solved:
        self.nfe(times, score)
        if probe is not None:
            raise ValueError("model=pipeline keeps nothing in passing: a verifier of the final sample alone is needed")
        images = denoise(x, times).x0  # the whole grid is the time that it is asked at
        return Solved(images, images, None)


class Pipeline:
    """`path` is the folder or hub id of any text-to-image pipeline whose call takes `latents`.

    `scheduler` replaces its own by another of diffusers' classes; schedulers that draw noise draw the same for every
    row. `forwards_per_call` is how many rows its network sees for one step of one image (None: 2 with guidance, 1
    without), which every call checks. `options` are further arguments of the call.
    """

    def __init__(
        self,
        *,
        path: str,
        guidance_scale: float = 5.0,
        height: int | None = None,
        width: int | None = None,
        scheduler: str | None = None,
        forwards_per_call: int | None = None,
        options: Mapping[str, Any] | None = None,
        variant: str | None = None,
        dtype: str = "bfloat16",
        device: str = "auto",
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"model.dtype={dtype}: one of {', '.join(DTYPES)} is needed")
        self.guidance_scale = float(guidance_scale)
        self.forwards_per_call = forwards_per_call or (1 if self.guidance_scale == 1 else 2)
        self.schedule: Schedule = Flow()
        self.device = pick_device(device)
        repository = Repository(path, variant)
        pipe = repository.pipeline(None, DTYPES[dtype])
        if lacking := {"prompt", "latents", "output_type"} - set(inspect.signature(type(pipe).__call__).parameters):
            raise ValueError(
                f"{type(pipe).__name__} takes no {', '.join(sorted(lacking))}: no whole solve can be asked"
            )
        if scheduler is not None:
            pipe.scheduler = _scheduler(scheduler, pipe.scheduler.config)
        pipe.set_progress_bar_config(disable=True)
        self.pipe = pipe.to(self.device)
        self.network: Any = getattr(pipe, "transformer", None) or pipe.unet
        self._call = {"height": height, "width": width, "guidance_scale": self.guidance_scale, **dict(options or {})}
        self._prompts: dict[int, str] = {}
        self._identity = {
            "class": "Pipeline",
            "pipeline": type(pipe).__name__,
            "weights": repository.digest(*repository.parts),
            "scheduler": type(pipe.scheduler).__name__,
            "call": self._call,
            "dtype": dtype,
        }

    @cached_property
    def latent_shape(self) -> tuple[int, ...]:
        """As one step of the pipeline leaves its latents, which is as it takes them."""
        return tuple(self._run([""], None, 1, "latent").shape[1:])

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        """Numbers of the prompts: the pipeline encodes them itself, in every call."""
        for condition in conditions:
            if condition.prompt is None:
                raise ValueError(f"condition {condition.class_label}: a text-to-image model needs a prompt")
        numbers = []
        known = {prompt: number for number, prompt in self._prompts.items()}
        for condition in conditions:
            number = known.setdefault(str(condition.prompt), len(known))
            self._prompts[number] = str(condition.prompt)
            numbers.append(number)
        return {"prompt": torch.tensor(numbers)}

    def __call__(self, x: Float[Tensor, "n *latent"], t: Float[Tensor, "n steps+1"], encoded: Encoded) -> Prediction:
        """The images of a whole solve as `x0`; `t` is its whole grid, as `WholeSolve` gives it."""
        if t.ndim != 2:
            raise ValueError("model=pipeline predicts nothing at a single time: its sampler is WholeSolve")
        prompts = [self._prompts[int(number)] for number in encoded["prompt"]]
        steps = t.shape[1] - 1
        with self._counted() as rows:
            images = self._run(prompts, x, steps, "pt").float()
        if sum(rows) != len(x) * steps * self.forwards_per_call:
            raise ValueError(
                f"{type(self.pipe).__name__} made {sum(rows) / len(x):g} forwards an image in {steps} steps, where "
                f"{steps * self.forwards_per_call} were expected: set model.forwards_per_call, or a model.scheduler "
                f"with one evaluation a step (DDIMScheduler, FlowMatchEulerDiscreteScheduler)"
            )
        return Prediction(images, x)

    def decode(self, x0: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The images themselves."""
        return x0.clamp(0, 1)

    def gflops(self) -> float:
        """GFLOPs of one forward of one row (2 per multiply-add)."""
        return self._gflops

    @cached_property
    def _gflops(self) -> float:
        """Counted in a real forward, once (fused attention on the CPU counts nothing)."""
        from torch.utils.flop_counter import FlopCounterMode

        counter = FlopCounterMode(display=False)
        hooks = [
            self.network.register_forward_pre_hook(lambda *_: (counter.__enter__(), None)[1]),
            self.network.register_forward_hook(lambda *_: counter.__exit__(None, None, None)),
        ]
        try:
            with self._counted() as rows:
                self._run([""], None, 1, "latent")
        finally:
            for hook in hooks:
                hook.remove()
        return counter.get_total_flops() / rows[-1] / 1e9

    def identity(self) -> dict[str, Any]:
        """All that decides the answers, as plain json."""
        return self._identity

    def _run(self, prompts: list[str], x: Tensor | None, steps: int, output: str) -> Tensor:
        generators = [torch.Generator(self.device).manual_seed(0) for _ in prompts]
        latents = None if x is None else x.to(self.device, self.network.dtype)
        call = {name: value for name, value in self._call.items() if value is not None}
        with torch.no_grad():
            return self.pipe(
                prompt=prompts,
                latents=latents,
                num_inference_steps=steps,
                generator=generators,
                output_type=output,
                **call,
            ).images

    @contextmanager
    def _counted(self) -> Iterator[list[int]]:
        """The rows of every forward of the network, as they are made."""
        rows: list[int] = []
        hook = self.network.register_forward_hook(lambda _, args, output: rows.append(len(output[0])))
        try:
            yield rows
        finally:
            hook.remove()


def _scheduler(name: str, config: Mapping[str, Any]) -> Any:
    import diffusers

    kind = getattr(diffusers, name, None)
    if kind is None or not name.endswith("Scheduler"):
        raise ValueError(f"model.scheduler={name}: a scheduler of diffusers is needed, as DDIMScheduler")
    return kind.from_config(config)
