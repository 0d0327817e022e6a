"""What x and t mean where a scheduler of diffusers steps, and what its network's output says there.

Time is this project's: 1 is noise, 0 is clean, x = alpha(t) x0 + sigma(t) eps. Schedulers of the sigma-scaled kind
(Euler, EDM) are taken in variance-preserving coordinates, which are those that their networks see.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.protocols import Prediction
from scaling.schedules import VariancePreserving


class SchedulerRule(ABC):
    """One scheduler, as a function of this project's time; `alpha` and `sigma` are elementwise, any shape."""

    bends = False  # whether its grids bend time, each number of steps perhaps otherwise
    first_scale = 1.0  # what unit noise is multiplied by at the first time
    last_scale = 1.0  # what a clean sample is multiplied by where the pipeline leaves its loop

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """What the clean sample is multiplied by at times t."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """What the noise is multiplied by at times t."""

    @abstractmethod
    def own_time(self, t: float) -> Tensor:
        """The scheduler's name for a time, as its pipeline hands it on."""

    @abstractmethod
    def times(self, scheduler: Any, own: Tensor) -> Float[Tensor, " times"]:
        """The scheduler's grid after `set_timesteps`, of which the pipeline goes through the times `own`."""

    @abstractmethod
    def predict(self, output: Tensor, x: Tensor, t: float) -> Prediction:
        """What the guided output of the network says of x at time t."""

    def handed(self, x: Tensor, t: float) -> Tensor:
        """The sample as the pipeline's loop has it, where the scheduler scales no input."""
        return x

    def _pair(self, t: float) -> tuple[float, float]:
        """alpha and sigma as numbers."""
        time = torch.tensor(t, dtype=torch.float64)
        return float(self.alpha(time)), float(self.sigma(time))


class FlowRule(SchedulerRule):
    """Straight paths: alpha = 1 - t, sigma = t; the scheduler's own time is read from pairs of its own dense grid."""

    bends = True

    def __init__(self, scheduler: Any, own: Tensor) -> None:
        self._inverted = bool(scheduler.config.get("invert_sigmas"))
        pairs = sorted(zip(self.times(scheduler, own)[:-1].tolist(), own.double().tolist(), strict=True))
        self._sigmas, self._times = map(np.array, zip(*pairs, strict=True))
        if self._sigmas[-1] > 1 + 1e-6:
            raise ValueError(
                f"{type(scheduler).__name__} begins at sigma={self._sigmas[-1]:g}, where a straight path has 1: take "
                f"model=whole_pipeline, which solves in the pipeline's own loop"
            )
        self._dtype = own.dtype

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    @override
    def sigma(self, t: Tensor) -> Tensor:
        return t

    @override
    def own_time(self, t: float) -> Tensor:
        return torch.tensor(np.interp(t, self._sigmas, self._times)).to(self._dtype)

    @override
    def times(self, scheduler: Any, own: Tensor) -> Float[Tensor, " times"]:
        sigmas = scheduler.sigmas[: len(own) + 1].double().cpu()
        return 1 - sigmas if self._inverted else sigmas

    @override
    def predict(self, output: Tensor, x: Tensor, t: float) -> Prediction:
        velocity = -output if self._inverted else output
        return Prediction(x - t * velocity, x + (1 - t) * velocity)


class NoiseRatioRule(SchedulerRule):
    """What tables and EDM share: a variance-preserving table, and sigmas that are ratios sigma / alpha."""

    _schedule: VariancePreserving

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return self._schedule.alpha(t)

    @override
    def sigma(self, t: Tensor) -> Tensor:
        return self._schedule.sigma(t)

    @override
    def times(self, scheduler: Any, own: Tensor) -> Float[Tensor, " times"]:
        """The times of its ratios; the inverse of the table's interpolation."""
        table, sigmas = np.array(self._schedule.alphas_cumprod), scheduler.sigmas[: len(own)].double().cpu()
        place = np.interp(np.log(sigmas.numpy()), np.log((1 - table) / table) / 2, np.arange(len(table)))
        place = np.where(np.abs(place - place.round()) < 1e-3, place.round(), place)
        return torch.cat((torch.from_numpy((place + 1) / len(table)), torch.zeros(1)))

    def _continuous(self, t: float) -> float:
        """The time of Karras et al. 2206.00364: a quarter of the ratio's logarithm."""
        alpha, sigma = self._pair(t)
        return 0.25 * math.log(sigma / alpha)


class TableRule(NoiseRatioRule):
    """A discrete variance-preserving table, predicting the noise, the sample or the velocity.

    Own times are timesteps (t = (timestep + 1) / N). Clipping and thresholding act on x0, and the noise follows x0.
    """

    def __init__(self, scheduler: Any, own: Tensor) -> None:
        config = scheduler.config
        self._scheduler, self._config, self._integers = scheduler, config, not own.is_floating_point()
        self._kind = config.get("prediction_type", "epsilon")
        if self._kind not in ("epsilon", "sample", "v_prediction"):
            raise ValueError(f"{type(scheduler).__name__} with prediction_type={self._kind} is not known here")
        self._scaled = hasattr(scheduler, "sigmas")
        table = scheduler.alphas_cumprod.double().tolist()
        if self._kind == "epsilon" and table[-1] == 0:
            raise ValueError("a terminal SNR of zero needs a network that predicts v or the sample, not the noise")
        final = float(getattr(scheduler, "final_alpha_cumprod", 1.0))
        if self._scaled:
            final = table[0] if config.get("final_sigmas_type") == "sigma_min" else 1.0
        self._schedule = VariancePreserving(table, final)
        self._rounds = self._integers and any(config.get(f"use_{k}_sigmas") for k in ("karras", "exponential", "beta"))
        spacing = config.get("timestep_spacing")
        if type(scheduler).__name__ == "EulerDiscreteScheduler" and spacing in ("linspace", "trailing"):
            self.first_scale = self._pair(1.0)[1]  # sigma alone, without data

    @override
    def own_time(self, t: float) -> Tensor:
        if self._config.get("timestep_type") == "continuous":
            return torch.tensor(self._continuous(t))
        timestep = max(t * len(self._schedule.alphas_cumprod) - 1, 0.0)
        if abs(timestep - round(timestep)) < 1e-3 or self._rounds:
            return torch.tensor(round(timestep), dtype=torch.int64 if self._integers else torch.float32)
        return torch.tensor(timestep, dtype=torch.float32)

    @override
    def times(self, scheduler: Any, own: Tensor) -> Float[Tensor, " times"]:
        if self._scaled:
            return super().times(scheduler, own)
        grid = (own.double().cpu() + 1) / len(self._schedule.alphas_cumprod)
        return torch.cat((grid, grid.new_zeros(1)))

    @override
    def predict(self, output: Tensor, x: Tensor, t: float) -> Prediction:
        (alpha, sigma), out = self._pair(t), output[:, : x.shape[1]]  # a learned variance is dropped
        if self._kind == "epsilon":
            x0, eps = (x - sigma * out) / alpha, out
        elif self._kind == "sample":
            x0, eps = out, (x - alpha * out) / sigma
        else:
            x0, eps = alpha * x - sigma * out, sigma * x + alpha * out
        changed = self._changed(x0, x, t)
        return Prediction(x0, eps) if changed is x0 else Prediction(changed, (x - alpha * changed) / sigma)

    def _changed(self, x0: Tensor, x: Tensor, t: float) -> Tensor:
        """The clean prediction as the scheduler's options leave it; CogVideoX's has them and does nothing with them."""
        knows = hasattr(self._scheduler, "_threshold_sample")
        if self._config.get("thresholding") and knows:
            x0 = self._scheduler._threshold_sample(x0)
        elif self._config.get("clip_sample") and knows:
            limit = self._config.get("clip_sample_range", 1.0)
            x0 = x0.clamp(-limit, limit)
        if type(self._scheduler).__name__ == "LCMScheduler":  # Luo et al. 2310.04378, eq. 9
            skip, out = self._scheduler.get_scalings_for_boundary_condition_discrete(self.own_time(t).double())
            x0 = (skip * x + out * x0).to(x.dtype)
        return x0


class EDMRule(NoiseRatioRule):
    """Karras et al. 2206.00364, table 1: sigma from `sigma_max` to `sigma_min`, input and output preconditioned."""

    def __init__(self, scheduler: Any, own: Tensor) -> None:
        sigmas = scheduler.sigmas[: len(own)].double().cpu().flip(0)
        self._scheduler, self._data = scheduler, scheduler.config.sigma_data
        final = float(scheduler.sigmas[-1])
        self._schedule = VariancePreserving((1 / (1 + sigmas**2)).tolist(), 1 / (1 + final**2))

    @override
    def own_time(self, t: float) -> Tensor:
        return torch.tensor(self._continuous(t), dtype=torch.float32)

    @override
    def handed(self, x: Tensor, t: float) -> Tensor:
        alpha, sigma = self._pair(t)
        return x / math.sqrt(sigma**2 + (alpha * self._data) ** 2)

    @override
    def predict(self, output: Tensor, x: Tensor, t: float) -> Prediction:
        alpha, sigma = self._pair(t)
        x0 = self._scheduler.precondition_outputs(x / alpha, output, torch.tensor(sigma / alpha)).to(x.dtype)
        return Prediction(x0, (x - alpha * x0) / sigma)


class CosineRule(SchedulerRule):
    """Wuerstchen's continuous cosine (Pernias et al. 2306.00637), predicting the noise; its own times are these."""

    def __init__(self, scheduler: Any, own: Tensor) -> None:
        self._scheduler = scheduler

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return self._bar(t).sqrt()

    @override
    def sigma(self, t: Tensor) -> Tensor:
        return torch.where(t > 0, (1 - self._bar(t)).sqrt(), 0)  # its last step adds no noise

    @override
    def own_time(self, t: float) -> Tensor:
        return torch.tensor(t, dtype=torch.float32)

    @override
    def times(self, scheduler: Any, own: Tensor) -> Float[Tensor, " times"]:
        return torch.cat((own.double().cpu(), torch.zeros(1)))

    @override
    def predict(self, output: Tensor, x: Tensor, t: float) -> Prediction:
        (alpha, sigma), eps = self._pair(t), output[:, : x.shape[1]]
        return Prediction((x - sigma * eps) / alpha, eps)

    def _bar(self, t: Tensor) -> Tensor:
        bar: Tensor = self._scheduler._alpha_cumprod(t.double(), t.device)
        return bar


class TrigRule(SchedulerRule):
    """TrigFlow (Lu & Song 2410.11081): x = cos(angle) x0 + sin(angle) eps, velocity predicted; t is 2 angle / pi."""

    def __init__(self, scheduler: Any, own: Tensor) -> None:
        self.last_scale = float(scheduler.config.sigma_data)

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return torch.cos(t * math.pi / 2)

    @override
    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin(t * math.pi / 2)

    @override
    def own_time(self, t: float) -> Tensor:
        return torch.tensor(t * math.pi / 2, dtype=torch.float32)

    @override
    def times(self, scheduler: Any, own: Tensor) -> Float[Tensor, " times"]:
        grid = (own.double().cpu() * 2 / math.pi).clamp(max=1)
        return torch.cat((grid, grid.new_zeros(1)))

    @override
    def handed(self, x: Tensor, t: float) -> Tensor:
        return x * self.last_scale

    @override
    def predict(self, output: Tensor, x: Tensor, t: float) -> Prediction:
        alpha, sigma = math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)
        velocity = output / self.last_scale
        return Prediction(alpha * x - sigma * velocity, sigma * x + alpha * velocity)
