"""Whole solves through a pipeline's public call: for what depends on its own history, and solvers of diffusers' own.

Here a "clean sample" is the image itself, and time has no meaning between 1 and 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.models.open_call import said
from scaling.models.pipeline_base import PipelineBase
from scaling.protocols import Denoise, Encoded, Prediction, Schedule
from scaling.sampling import Solved
from scaling.schedules import Flow


class WholeSolve:
    """Hands whole trajectories over to a `WholePipeline`; anything shorter is a ValueError."""

    ends_in_images = True  # its clean samples are not of the latents' shape

    def steps(self, nfe: int) -> int:
        """As many as evaluations; a ValueError below 1."""
        if nfe < 1:
            raise ValueError(f"a pipeline cannot spend nfe={nfe}; the least is 1")
        return nfe

    def nfe(self, times: Tensor, score: bool = True) -> int:
        """One evaluation a step; a ValueError where the times are not those of a whole solve."""
        if times.shape[-1] < 2 or bool((times[..., 0] != 1).any()) or bool((times[..., -1] != 0).any()):
            shown = [round(float(t), 3) for t in times.reshape(-1, times.shape[-1])[0]]
            raise ValueError(
                f"the sampler WholeSolve solves from time 1 to 0 only, not along {shown[:3]}...{shown[-1:]}: take a "
                f"search of whole solves (random, zero_order, evolutionary at time 1), or model=pipeline as it is"
            )
        return times.shape[-1] - 1

    def advance(
        self,
        denoise: Denoise,
        schedule: Schedule,
        x: Tensor,
        times: Float[Tensor, "n times"],
        score: bool,
        probe_sigma: float | None = None,
    ) -> Solved:
        """The images of whole solves, as x and as x0; a ValueError where a `probe_sigma` is asked for."""
        self.nfe(times, score)
        if probe_sigma is not None:
            raise ValueError("whole solves keep nothing in passing: a verifier of the final sample alone is needed")
        images = denoise(x, times).x0  # the whole grid is the time that it is asked at
        return Solved(images, images, None)


@dataclass(kw_only=True, eq=False)
class WholePipeline(PipelineBase):
    """As `Pipeline`, but solved by the pipeline's own loop with its own scheduler, which may be of any class.

    What draws noise in its loop draws the same for every image: rows go one by one there. `forwards_per_call` is how
    many rows the networks see for one step of one image (None: as a first step was seen to make), which every call
    checks.
    """

    version: ClassVar[int] = 2  # 1 drew other noise for each row of a batch
    forwards_per_call: Any = None  # a number, once it is loaded

    def __post_init__(self) -> None:
        super().__post_init__()
        self._draws = False  # as far as it is known
        self.schedule: Schedule = Flow()
        expected = self.forwards_per_call
        self._probe()
        self.forwards_per_call = expected or self.forwards_per_call

    def __call__(self, x: Float[Tensor, "n *latent"], t: Float[Tensor, "n *times"], encoded: Encoded) -> Prediction:
        """The images of whole solves as `x0`; `t` is the whole grid, as `WholeSolve` gives it."""
        if t.ndim != 2:
            raise ValueError("a WholePipeline predicts nothing at a single time: its sampler is WholeSolve")
        groups = self._groups(encoded["prompt"].tolist())
        images = [self._solve(prompt, x[rows], t.shape[1] - 1) for prompt, rows in groups]
        order = torch.tensor([row for _, rows in groups for row in rows], device=images[0].device)
        return Prediction(torch.cat(images)[order.argsort()], x)

    def decode(self, x0: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The images themselves."""
        return x0.clamp(0, 1)

    def _solve(self, prompt: Any, x: Tensor, steps: int) -> Tensor:
        if not self._draws or len(x) == 1:
            images, drew = self._together(prompt, x, steps)
            if not drew or len(x) == 1:
                return images
            self._draws = True  # one draw for all rows makes each depend on its place
        return torch.cat([self._together(prompt, row, steps)[0] for row in x.split(1)])

    def _together(self, prompt: Any, x: Tensor, steps: int) -> tuple[Tensor, bool]:
        """The images of a batch, and whether anything was drawn at random for them."""
        before, call = self.networks.rows, self.arguments(self._prompts[prompt], len(x), steps, self.device)
        cuda = [torch.cuda.current_device()] if self.device.type == "cuda" else []
        try:
            with torch.no_grad(), torch.random.fork_rng(cuda), self.networks.whole_call():
                torch.manual_seed(0)  # some draw without the generator that they are given
                states = _random_states(call, cuda)
                result = self.pipe(**call, latents=x.to(self.device, self._latents.dtype))
                drew = any(not torch.equal(*pair) for pair in zip(states, _random_states(call, cuda), strict=True))
        except Exception as error:
            raise said(self.pipe, error) from error
        made = self.networks.rows - before
        if made != len(x) * steps * self.forwards_per_call:
            raise ValueError(
                f"{type(self.pipe).__name__} made {made / len(x):g} forwards an image in {steps} steps, where "
                f"{steps * self.forwards_per_call} were expected: set model.forwards_per_call, or a model.scheduler "
                f"with one evaluation a step (DDIMScheduler, FlowMatchEulerDiscreteScheduler)"
            )
        return self.images(result), drew


def _random_states(call: Mapping[str, Any], cuda: Sequence[int]) -> list[Tensor]:
    own = [call["generator"].get_state()] if "generator" in call else []
    return [*own, torch.get_rng_state(), *(torch.cuda.get_rng_state(number) for number in cuda)]
