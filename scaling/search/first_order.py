"""First-order search: gradient ascent through the whole solve (Ma et al. 2501.09732, section 3.2 and appendix)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import SearchRun
from scaling.search import ascent, geometry


@dataclass(frozen=True, kw_only=True)
class FirstOrder:
    """Moves the noise along the score's gradient and rescales it to the typical Gaussian norm sqrt(d).

    What was moved is the candidates' column `cosine`.

    Args:
        step: above 0; times the gradient, so that it scales with the verifier.
        normalized: whether `step` is times the noise's norm instead: the cosine moved is then 1 / sqrt(1 + step^2)
            where the gradient is orthogonal.

    Cost: 2 nfes_per_iter an iteration, backwards apart; anytime.
    Reads: the gradient.
    Source: Ma et al. 2501.09732, section 3.2 and appendix.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"gradient"})
    requires: ClassVar[frozenset[str]] = frozenset({"gradient"})

    step: float = 0.01
    normalized: bool = False

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.above(0, step=self.step)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        return ascent.ascend(space, self._move)

    def _move(self, noise: Tensor, gradient: Tensor) -> Tensor:
        if self.normalized:
            gradient = ascent.row_norm(noise) * gradient / ascent.row_norm(gradient).clamp(min=1e-30)
        return geometry.to_typical_norm(noise + self.step * gradient)
