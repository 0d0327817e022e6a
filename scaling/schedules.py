"""Signal and noise over time, and the grids that cut time into steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Flow:
    """The straight path of flow matching: alpha = 1 - t, sigma = t.

    `shift` bends the time grid towards noise as SD 3 and FLUX do (t = shift u / (1 + (shift - 1) u)); 1 = uniform.
    """

    shift: float = 1.0

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def grid(self, steps: int, start: float = 1.0, stop: float = 0.0) -> Float[Tensor, "steps+1"]:
        """Steps of equal length before the shift (as `linspace(0, 1, n)` in SiT, reversed)."""
        u = torch.linspace(self._unshift(start), self._unshift(stop), steps + 1, dtype=torch.float64)
        t = self.shift * u / (1 + (self.shift - 1) * u)
        t[0], t[-1] = start, stop
        return t

    def _unshift(self, t: float) -> float:
        return t / (self.shift - (self.shift - 1) * t)


@dataclass(frozen=True)
class VariancePreserving:
    """The table of a discrete DDPM: time t = (i + 1) / N is its timestep i, and t = 0 is clean.

    `alphas_cumprod` is the table in order of timesteps; between its entries alpha^2 is interpolated in log-SNR.
    `final_alpha_cumprod` is what the last step lands on (diffusers' `set_alpha_to_one=False` lands on the first entry).
    """

    alphas_cumprod: Sequence[float]
    final_alpha_cumprod: float = 1.0

    @classmethod
    def linear_betas(cls, start: float = 1e-4, end: float = 2e-2, steps: int = 1000) -> VariancePreserving:
        """The linear betas of DDPM, ADM and DiT."""
        betas = torch.linspace(start, end, steps, dtype=torch.float64)
        return cls(tuple((1 - betas).cumprod(0).tolist()))

    def alpha(self, t: Tensor) -> Tensor:
        return self._alphas_cumprod(t).sqrt().to(t.dtype)

    def sigma(self, t: Tensor) -> Tensor:
        return (1 - self._alphas_cumprod(t)).clamp(min=0).sqrt().to(t.dtype)

    def timestep(self, t: Tensor) -> Tensor:
        """The (fractional) timestep that the network was trained with, in [0, N - 1]."""
        return (t * len(self.alphas_cumprod) - 1).clamp(min=0)

    def grid(self, steps: int, start: float = 1.0, stop: float = 0.0) -> Float[Tensor, "steps+1"]:
        return torch.linspace(start, stop, steps + 1, dtype=torch.float64)

    def _alphas_cumprod(self, t: Tensor) -> Tensor:
        table = torch.tensor([self.final_alpha_cumprod, *self.alphas_cumprod], dtype=torch.float64, device=t.device)
        logsnr = table.logit(eps=1e-12)
        position = t.double().clamp(0, 1) * (len(table) - 1)
        low = position.floor().long().clamp(max=len(table) - 2)
        weight = position - low
        between = torch.sigmoid(torch.lerp(logsnr[low], logsnr[low + 1], weight))
        exact = table[position.round().long()]
        return torch.where((position - position.round()).abs() < 1e-6, exact, between)
