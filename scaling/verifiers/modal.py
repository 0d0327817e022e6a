"""Modal selection: of the recorded candidates that at the highest mode of the scores, where a judge errs less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from scaling import checks, mode
from scaling.verifiers.recorded import scores_of


class Modal:
    """A selector: the candidate with the largest log p(score) + lambda score over a condition's candidates so far.

    p is the density of these candidates' scores (`scaling.mode.heights`). What `search=modal` does on the
    way, for candidates that are recorded, of any model and sampler.

    Args:
        lambda_: how much a unit of the score counts beside the log of the density, at least 0.
        width: of the density's Gaussian kernel, in the score's unit, above 0.
        name: the scorer whose scores count. None: the first that is recorded.

    Cost: none: the candidates are recorded.
    Source: this project.
    """

    def __init__(self, *, lambda_: float = mode.LAMBDA, width: float = mode.WIDTH, name: str | None = None) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.within(0, float("inf"), lambda_=lambda_, width=width)
        checks.above(0, width=width)
        self.lambda_, self.width, self.name = lambda_, width, name

    def pick(self, scores: Mapping[str, Float[np.ndarray, " candidates"]]) -> int:
        """The place of the winner, the first of equals; a ValueError names a scorer that is not there."""
        values = scores_of(scores, self.name)
        return int(mode.heights(values, values, self.width, self.lambda_).argmax())

    def identity(self) -> dict[str, Any]:
        """Lambda, width and scorer."""
        return {"class": "Modal", "lambda": self.lambda_, "width": self.width, "name": self.name}

    def __repr__(self) -> str:
        """The same as a text."""
        return f"Modal(lambda_={self.lambda_}, width={self.width}, name={self.name})"
