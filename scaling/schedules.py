"""Signal and noise over time, and the grids that cut time into steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from scaling import checks

Spacing = Literal["trailing", "leading"]


@dataclass(frozen=True)
class Flow:
    """The straight path of flow matching: alpha = 1 - t, sigma = t.

    Args:
        shift: above 0; bends the time grid towards noise as SD 3 and FLUX do, t = shift u / (1 + (shift - 1) u).
            1: uniform.

    Source: Lipman et al. 2210.02747, the optimal transport path; the shift: Esser et al. 2403.03206, section 5.3.2.
    """

    shift: float = 1.0

    def alpha(self, t: Tensor) -> Tensor:
        """1 - t."""
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        """t."""
        return t

    def grid(self, steps: int, start: float = 1.0, stop: float = 0.0) -> Float[Tensor, " {steps}+1"]:
        """Steps of equal length before the shift (as `linspace(0, 1, n)` in SiT, reversed), from start to stop."""
        u = torch.linspace(self._unshift(start), self._unshift(stop), steps + 1, dtype=torch.float64)
        t = self.shift * u / (1 + (self.shift - 1) * u)
        t[0], t[-1] = start, stop
        return t

    def _unshift(self, t: float) -> float:
        return t / (self.shift - (self.shift - 1) * t)


@dataclass(frozen=True)
class VariancePreserving:
    """The table of a discrete DDPM: time t = (i + 1) / N is its timestep i, and t = 0 is clean.

    Args:
        alphas_cumprod: alpha^2 in order of timesteps, in (0, 1); between them it is interpolated in log-SNR.
        final_alpha_cumprod: what the last step lands on (diffusers' `set_alpha_to_one=False`: the first entry).
        spacing: how a whole solve cuts time (Lin et al. 2305.08891, table 2): `trailing` begins at time 1; `leading`
            ends at timestep `offset` and begins where whole strides from there lead to, under time 1, with the noise as
            it is.
        offset: a timestep, at least 0; of `leading` alone.
        first_scale: what unit noise begins with. None: with the data's variance, at time 1.

    Raises:
        ValueError: for another `spacing`.
    """

    alphas_cumprod: Sequence[float]
    final_alpha_cumprod: float = 1.0
    spacing: Spacing = "trailing"
    offset: int = 0
    first_scale: float | None = None

    def __post_init__(self) -> None:
        checks.one_of(get_args(Spacing), spacing=self.spacing)

    @classmethod
    def linear_betas(cls, start: float = 1e-4, end: float = 2e-2, steps: int = 1000) -> VariancePreserving:
        """The linear betas of DDPM, ADM and DiT: `steps` of them, from `start` to `end`."""
        return cls(_alphas_cumprod(torch.linspace(start, end, steps, dtype=torch.float64)))

    @classmethod
    def from_scheduler(cls, config: Mapping[str, Any], spacing: Spacing | None = None) -> VariancePreserving:
        """What a diffusers scheduler's config.json describes, as its DDIM runs it; a ValueError for anything else."""
        if config.get("trained_betas") or config.get("rescale_betas_zero_snr"):
            raise ValueError(
                "trained_betas and rescale_betas_zero_snr are model=pipeline's: plain 'linear' betas are needed"
            )
        power = {"linear": 1.0, "scaled_linear": 0.5}.get(config.get("beta_schedule", "linear"))
        if power is None:
            raise ValueError(
                f"beta_schedule={config.get('beta_schedule')!r}: plain 'linear' or 'scaled_linear' is needed"
            )
        ends = float(config.get("beta_start", 1e-4)) ** power, float(config.get("beta_end", 2e-2)) ** power
        roots = torch.linspace(*ends, int(config.get("num_train_timesteps", 1000)), dtype=torch.float64)
        table = _alphas_cumprod(roots ** (1 / power))
        scaled = str(config.get("_class_name", "")).startswith(
            "Euler"
        )  # it ends at sigma 0, whatever else its file says
        final = 1.0 if scaled or config.get("set_alpha_to_one", True) else table[0]
        spacing = spacing or config.get("timestep_spacing", "leading")
        if spacing not in get_args(Spacing):
            raise ValueError(f"timestep_spacing={spacing!r}: model.spacing=trailing or leading takes its place")
        first = (1 - table[-1]) ** 0.5 if scaled and spacing == "trailing" else None  # sigma alone, without data
        return cls(table, final, spacing, int(config.get("steps_offset", 0)) if spacing == "leading" else 0, first)

    def alpha(self, t: Tensor) -> Tensor:
        """The root of the table of alphas_cumprod, interpolated in log-SNR."""
        return self._alphas_cumprod(t).sqrt().to(t.dtype)

    def sigma(self, t: Tensor) -> Tensor:
        """The root of 1 - alpha^2."""
        return (1 - self._alphas_cumprod(t)).clamp(min=0).sqrt().to(t.dtype)

    def timestep(self, t: Tensor) -> Tensor:
        """The (fractional) timestep that the network was trained with, in [0, N - 1]."""
        return (t * len(self.alphas_cumprod) - 1).clamp(min=0)

    def grid(self, steps: int, start: float = 1.0, stop: float = 0.0) -> Float[Tensor, " {steps}+1"]:
        """Equal strides; a whole solve (1 to 0) with `leading` has whole strides of timesteps, and one to clean.

        Raises:
            ValueError: names the nearest number of steps below that `leading` can make.
        """
        size = len(self.alphas_cumprod)
        if self.spacing == "trailing" or (start, stop) != (1.0, 0.0):
            return torch.linspace(start, stop, steps + 1, dtype=torch.float64)
        if (nearest := next((n for n in range(min(steps, size), 0, -1) if self._covers(n)), 1)) != steps:
            raise ValueError(
                f"{steps} steps of 'leading' spacing over {size} timesteps begin far from time 1 or past it; the "
                f"nearest below is {nearest} (spacing=trailing takes any number)"
            )
        timesteps = torch.arange(steps - 1, -1, -1, dtype=torch.float64) * (size // steps) + self.offset
        return torch.cat((timesteps + 1, torch.zeros(1, dtype=torch.float64))) / size

    def _covers(self, steps: int) -> bool:
        """Whether whole strides from the offset reach noise, as well as four of them do, and stay in the table."""
        size = len(self.alphas_cumprod)
        first = ((steps - 1) * (size // steps) + self.offset + 1) / size
        return min(0.75, 1 - 2 / steps) <= first <= 1

    @cached_property
    def _tables(self) -> dict[torch.device, tuple[Tensor, Tensor]]:
        return {}

    def _table(self, device: torch.device) -> tuple[Float[Tensor, " entries"], Float[Tensor, " entries"]]:
        """alpha^2 and its log-SNR at times 0, 1/N, ..., 1; copied to a device once, since a copy waits for it."""
        if device not in self._tables:
            with torch.inference_mode(False):
                values = [self.final_alpha_cumprod, *self.alphas_cumprod]
                table = torch.tensor(values, dtype=torch.float64).to(device)
                self._tables[device] = table, table.logit(eps=1e-12)
        return self._tables[device]

    def _alphas_cumprod(self, t: Tensor) -> Tensor:
        table, logsnr = self._table(t.device)
        position = t.double().clamp(0, 1) * (len(table) - 1)
        low = position.floor().long().clamp(max=len(table) - 2)
        weight = position - low
        between = torch.sigmoid(torch.lerp(logsnr[low], logsnr[low + 1], weight))
        exact = table[position.round().long()]
        return torch.where((position - position.round()).abs() < 1e-6, exact, between)


def _alphas_cumprod(betas: Tensor) -> tuple[float, ...]:
    return tuple((1 - betas).cumprod(0).tolist())
