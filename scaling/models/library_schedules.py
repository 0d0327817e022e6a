"""Schedules as diffusers' scheduler configurations describe them; their grids are data, the stepping stays ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.schedules import Flow, Spacing, VariancePreserving


@dataclass(frozen=True)
class FlowMatch(Flow):
    """The grid of `FlowMatchEulerDiscreteScheduler` for a whole solve; parts of one are cut as `Flow` cuts them.

    `last` is where the last evaluation lies before the shift (None: one step's length above 0); `terminal` is the time
    that this evaluation is stretched to after it (None: it stays).
    """

    last: float | None = None
    terminal: float | None = None

    @classmethod
    def from_scheduler(cls, config: Mapping[str, Any], tokens: int, given: bool) -> FlowMatch:
        """`tokens` set a dynamic shift; `given`: the pipeline hands over sigmas from 1 to one step's length above 0.

        Other solvers' configurations for flow matching (`flow_shift`) give the shift alone. A ValueError for the rest.
        """
        odd = [key for key in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas") if config.get(key)]
        if odd or config.get("invert_sigmas") or config.get("prediction_type", "flow_prediction") != "flow_prediction":
            raise ValueError(f"the scheduler {config.get('_class_name')} with {odd or config}: plain flow is needed")
        kind = str(config.get("_class_name", "FlowMatchEulerDiscreteScheduler"))
        if "flow_shift" in config and not kind.startswith("FlowMatch"):  # from_config keeps keys of other classes
            if config.get("use_dynamic_shifting"):
                raise ValueError(f"the scheduler {kind} with use_dynamic_shifting: model=pipeline obeys it")
            return cls(shift=float(config["flow_shift"]))
        if config.get("use_dynamic_shifting"):
            mu = dynamic_shift(config, tokens)
            exponential = config.get("time_shift_type", "exponential") == "exponential"
            shift, least = math.exp(mu) if exponential else mu, 1 / int(config.get("num_train_timesteps", 1000))
        else:
            shift, least = float(config.get("shift", 1.0)), 1 / int(config.get("num_train_timesteps", 1000))
            least = shift * least / (1 + (shift - 1) * least)  # the scheduler shifts its table, then the grid again
        return cls(shift=shift, last=None if given else least, terminal=config.get("shift_terminal"))

    def grid(self, steps: int, start: float = 1.0, stop: float = 0.0) -> Float[Tensor, " {steps}+1"]:
        """diffusers' own grid for a whole solve; a part is cut as `Flow` does."""
        if (start, stop) != (1.0, 0.0):
            return super().grid(steps, start, stop)
        u = torch.linspace(1.0, 1 / steps if self.last is None else self.last, steps, dtype=torch.float64)
        t = self.shift * u / (1 + (self.shift - 1) * u)
        if self.terminal and steps > 1:
            t = 1 - (1 - t) * (1 - self.terminal) / (1 - t[-1])
        return torch.cat((t, t.new_zeros(1)))


def dynamic_shift(config: Mapping[str, Any], tokens: int) -> float:
    """The shift's logarithm, linear in the number of image tokens (FLUX's and SD 3.5's pipelines)."""
    low, high = int(config.get("base_image_seq_len", 256)), int(config.get("max_image_seq_len", 4096))
    base, most = float(config.get("base_shift", 0.5)), float(config.get("max_shift", 1.15))
    return base + (most - base) * (tokens - low) / (high - low)


_KNOWN = (
    "DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler",
    "HeunDiscreteScheduler", "LMSDiscreteScheduler",
)  # fmt: skip
_CLIPPING = ("DDIMScheduler", "DDPMScheduler")
_REFUSED = (
    "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "thresholding", "clip_sample",
)  # fmt: skip


def eps_schedule(config: Mapping[str, Any], spacing: Spacing | None) -> VariancePreserving:
    """The schedule of a network that predicts the noise; a ValueError for other predictions."""
    if config.get("prediction_type", "epsilon") != "epsilon":
        raise ValueError(
            f"the scheduler predicts {config['prediction_type']}: epsilon is needed here (see model=pipeline)"
        )
    kind = config.get("_class_name", "DDIMScheduler")
    if kind not in _KNOWN:
        raise ValueError(f"the scheduler {kind} is none of {', '.join(_KNOWN)}: model=pipeline knows others")
    odd = [key for key in _REFUSED if config.get(key) and (key != "clip_sample" or kind in _CLIPPING)]
    odd += ["timestep_type"] * (config.get("timestep_type", "discrete") != "discrete")
    if odd:
        raise ValueError(f"the scheduler's {odd[0]}={config[odd[0]]}: model=pipeline obeys it")
    return VariancePreserving.from_scheduler(config, spacing)
