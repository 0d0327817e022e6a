"""`quick=true`: any preset made small, by the limits of conf/quick/small.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Config = dict[str, Any]


def spelled(arguments: Sequence[str]) -> list[str]:
    """The command's words with `quick=true` as the option that it stands for; `quick=false` says nothing."""
    plain = {"quick=true": ["+quick=small"], "quick=false": []}
    return [word for argument in arguments for word in plain.get(argument.lstrip("+").lower(), [argument])]


def shrunk(config: Config, overrides: Sequence[str]) -> Config:
    """The configuration within its limits under `quick`; as it is where it has none. What was typed stays.

    The gate before a study goes, since its known point is of the full size.
    """
    limits = config.get("quick")
    if not limits:
        return config
    typed = {line.lstrip("+").partition("=")[0] for line in overrides}
    made = {**config, "conditions": dict(config["conditions"]), "budget": dict(config["budget"]), "calibration": None}
    if "count" in made["conditions"] and "conditions.count" not in typed:
        made["conditions"]["count"] = min(made["conditions"]["count"] or limits["conditions"], limits["conditions"])
    for name in ("candidates", "nfe"):
        if made["budget"][name] is not None and f"budget.{name}" not in typed:
            made["budget"][name] = _ladder(made["budget"][name], limits, limits[name])
    return made


def _ladder(ladder: int | Sequence[int], limits: Mapping[str, int], most: int) -> int | list[int]:
    """The rungs, none above `most`, thinned evenly to as many as the limits say."""
    if isinstance(ladder, int):
        return min(ladder, most)
    low = sorted({min(rung, most) for rung in ladder})
    count = min(limits["rungs"], len(low))
    return [low[round(place * (len(low) - 1) / max(count - 1, 1))] for place in range(count)]
