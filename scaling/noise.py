"""All randomness of a search: keyed draws, and the moves a search may make between times."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scaling.protocols import Schedule
from scaling.sampling import Sampler


def keyed_generator(*key: object) -> np.random.Generator:
    """A counter-based generator that depends on the key alone (Philox, keyed by a BLAKE2 digest of its repr)."""
    return np.random.Generator(np.random.Philox(key=_words(key)))


def _words(key: tuple[object, ...]) -> np.ndarray:
    return np.frombuffer(hashlib.blake2b(repr(key).encode(), digest_size=16).digest(), dtype=np.uint64)


@dataclass(frozen=True)
class NoiseSpace:
    """All that a search may know of the process, for one condition.

    Every draw is keyed by (seed, the condition's content, name, k): the same whatever the method, the batch, the
    order, the other conditions or the machine. Samples live on the CPU in fp32; searches never touch the device. Times
    are float64, 1 is noise and 0 clean.
    """

    seed: int  # of the study
    condition_key: str  # the condition's content (`Condition.key`)
    shape: tuple[int, ...]  # of a latent, without its row
    schedule: Schedule  # of the denoiser that solves the candidates
    sampler: Sampler
    nfes_per_iter: int  # NFE of a whole solve during the search

    @cached_property
    def times(self) -> Float[Tensor, " times"]:
        """The grid of a whole solve during the search, which spends `nfes_per_iter`; not to be written to."""
        return self.grid(self.nfes_per_iter)

    def grid(self, nfe: int, start: float = 1.0, stop: float = 0.0) -> Float[Tensor, " times"]:
        """A grid of times that falls from start to stop, on which the sampler spends exactly `nfe`.

        Raises:
            ValueError: names the nearest `nfe` that the sampler can spend.
        """
        return self.schedule.grid(self.sampler.steps(nfe), start, stop)

    def nfe(self, times: Float[Tensor, " times"], score: bool = True) -> int:
        """What a proposal with these times costs a row; an x0 to score at a time above 0 is one more."""
        return self.sampler.nfe(times, score)

    def draw(self, name: str, k: int | Iterable[int]) -> Float[Tensor, "k *latent"]:
        """Unit Gaussian draws number k, float32 on the CPU, a row each (one number: one row).

        `name` tells draws of one purpose from those of another: `candidate` is that of initial noises.
        """
        numbers = (k,) if isinstance(k, int) else tuple(k)
        size = math.prod(self.shape)
        rows = np.empty((len(numbers), size), dtype=np.float32)
        generator, state = self._reused
        for row, number in zip(rows, numbers, strict=True):
            state["state"]["key"] = _words(self._key(name, number))
            generator.bit_generator.state = state
            generator.standard_normal(size, dtype=np.float32, out=row)
        return torch.from_numpy(rows).view(len(numbers), *self.shape)

    def generator(self, name: str, k: int) -> np.random.Generator:
        """The generator behind a draw, for choices that are not Gaussian (resampling, tournaments)."""
        return keyed_generator(*self._key(name, k))

    def _key(self, name: str, k: int) -> tuple[object, ...]:
        return self.seed, self.condition_key, name, k

    @cached_property
    def _reused(self) -> tuple[np.random.Generator, dict[str, Any]]:
        """A generator and its state before the first draw: another key takes a tenth of a new one's time."""
        generator = keyed_generator()
        return generator, dict(generator.bit_generator.state)

    def start(self, noise: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """A noise as the sample at t = 1 of data with unit variance, as diffusers starts; the same for flow and VP."""
        return noise if self._first_scale == 1.0 else noise * self._first_scale

    def renoise(self, x: Tensor, t: float, s: float, noise: Tensor) -> Tensor:
        """Takes x at time t up to the noisier time s >= t, with the exact conditional law.

        x_s = (alpha_s / alpha_t) x + sqrt(sigma_s^2 - (alpha_s / alpha_t)^2 sigma_t^2) noise, `noise` unit Gaussian,
        shaped as x.
        """
        assert s >= t, f"renoise goes up in time, not from {t} to {s}"
        ratio = self._alpha(s) / self._alpha(t)
        return ratio * x + max(self._sigma(s) ** 2 - (ratio * self._sigma(t)) ** 2, 0.0) ** 0.5 * noise

    def step(self, x: Tensor, x0: Tensor, t: float, s: float, noise: Tensor | None = None, eta: float = 1.0) -> Tensor:
        """Takes x at time t down to s < t, given its clean prediction: q(x_s | x_t, x0), the DDIM family.

        eta = 1 is ancestral sampling, which has the marginals of the ODE; eta = 0 is the Euler step and needs no noise.
        `noise` is unit Gaussian; all are shaped as x.
        At s = 0 it lands on x0. DDIM (Song et al. 2010.02502, eq. 12) for any alpha, sigma.
        """
        assert s < t, f"step goes down in time, not from {t} to {s}"
        a_t, a_s, sigma_t, sigma_s = self._alpha(t), self._alpha(s), self._sigma(t), self._sigma(s)
        fresh = eta * sigma_s / sigma_t * max(sigma_t**2 - (a_t / a_s * sigma_s) ** 2, 0.0) ** 0.5
        kept = max(sigma_s**2 - fresh**2, 0.0) ** 0.5
        down = a_s * x0 + kept * (x - a_t * x0) / sigma_t
        if fresh == 0.0:
            return down
        assert noise is not None, "a stochastic step needs a draw"
        return down + fresh * noise

    @cached_property
    def _first_scale(self) -> float:
        """As the schedule says, where it has a `first_scale`: some of diffusers' begin without the data's variance."""
        own = getattr(self.schedule, "first_scale", None)
        return float(np.hypot(self._alpha(1.0), self._sigma(1.0)) if own is None else own)

    def _alpha(self, t: float) -> float:
        return float(self.schedule.alpha(torch.tensor(t, dtype=torch.float64)))

    def _sigma(self, t: float) -> float:
        return float(self.schedule.sigma(torch.tensor(t, dtype=torch.float64)))
