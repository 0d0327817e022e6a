"""What a selector by ranks finds recorded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float


def scores_of(
    scores: Mapping[str, Float[np.ndarray, " candidates"]], name: str | None = None
) -> Float[np.ndarray, " candidates"]:
    """The scores by this scorer, as doubles; None: by the first. A ValueError names a scorer that is not there."""
    name = next(iter(scores)) if name is None else name
    if name not in scores:
        raise ValueError(f"the selector wants the scores of {name}; there are {', '.join(scores)}")
    return np.asarray(scores[name], dtype=np.float64)
