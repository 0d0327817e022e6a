"""Soft selection: a recorded candidate drawn by its score, so that a weak judge is trusted only so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from scaling import checks
from scaling.noise import keyed_generator
from scaling.verifiers.recorded import scores_of


class Soft:
    """A selector: the candidate drawn from softmax(score / temperature) over a condition's candidates so far.

    It takes the largest score / temperature + a Gumbel draw of the candidate's own, which has that law; a candidate
    keeps its draw in a larger budget, so that winners change only where a new candidate wins. At temperature 0 it is
    the best score, the first of equals, as without a selector.

    Args:
        temperature: at least 0, in the score's unit.
        name: the scorer whose scores count. None: the first that is recorded.
        seed: of the draws.

    Cost: none: the candidates are recorded.
    Source: soft best-of-n, 2506.19248.
    """

    def __init__(self, *, temperature: float = 0.0, name: str | None = None, seed: int = 0) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.within(0, float("inf"), temperature=temperature)
        checks.whole(seed=seed)
        self.temperature, self.name, self.seed = temperature, name, seed

    def pick(self, scores: Mapping[str, Float[np.ndarray, " candidates"]]) -> int:
        """The place of the winner; a ValueError names a scorer that is not there."""
        values = scores_of(scores, self.name)
        if self.temperature == 0:
            return int(values.argmax())
        # Conditions are told apart by the score of their first candidate, which every budget has.
        draws = keyed_generator(self.seed, "soft", float(values[0])).gumbel(size=len(values))
        return int((values / self.temperature + draws).argmax())

    def identity(self) -> dict[str, Any]:
        """Temperature, scorer and seed."""
        return {"class": "Soft", "temperature": self.temperature, "name": self.name, "seed": self.seed}

    def __repr__(self) -> str:
        """The same as a text."""
        return f"Soft(temperature={self.temperature}, name={self.name}, seed={self.seed})"
