"""Text-to-image models that predict the noise on a discrete variance-preserving table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.models.library_schedules import eps_schedule
from scaling.models.text_to_image import TextToImage
from scaling.protocols import Schedule
from scaling.schedules import Spacing


@dataclass(kw_only=True, eq=False)
class NoisePredictor(TextToImage):
    """`spacing` cuts time otherwise than the repository's scheduler says (None: as it says)."""

    prediction = "eps"
    spacing: Spacing | None = None

    @override
    def noise_schedule(self, config: Mapping[str, Any]) -> Schedule:
        self._table = eps_schedule(config, self.spacing)
        ends = self._table.final_alpha_cumprod == 1 and not config.get("set_alpha_to_one", True)
        self._changed = ends or self._table.first_scale is not None
        return self._table

    def identity(self) -> dict[str, Any]:
        """Euler's start and end are its own since version 2: only what was solved otherwise has another identity."""
        return super().identity() | ({"version": 2} if self._changed else {})

    def timestep(self, t: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The timestep that the network was trained with."""
        return self._table.timestep(t)
