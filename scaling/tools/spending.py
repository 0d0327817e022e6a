"""What a search will spend on a condition, found by running it on made-up answers: no model is asked."""

from __future__ import annotations

import math

from scaling.engine.ladder import FittedSearch
from scaling.engine.made_up import Asked, asked
from scaling.engine.retention import BYTES, Retention
from scaling.noise import NoiseSpace
from scaling.traits import SearchTraits


def spending(space: NoiseSpace, fitted: FittedSearch) -> Asked:
    """Of one condition, up to the cap of a search's last rung.

    Exact where the cost of a search does not follow its scores; all answers are worth the same here.
    """
    spent = Asked(0, 0, 0, 0, 0)
    for total in asked(fitted.search, space):
        if total.nfe > fitted.nfe:
            break
        spent = total
    return spent


def kept_bytes(space: NoiseSpace, traits: SearchTraits, spent: Asked, retention: Retention, probes: bool) -> float:
    """What the journal keeps of a condition's samples; with `winners` the expected number of records in a row.

    `probes`: with every sample its prediction at a probed noise level.
    """
    row = math.prod(space.shape) * BYTES
    reads = len(traits.reads & {"x", "x0"})
    if reads:
        return (spent.clean + reads * spent.between) * row
    records = sum(1 / k for k in range(1, spent.clean + 1))
    return {"latents": spent.clean * (1 + probes), "winners": records, "scores": 0}[retention.policy] * row
