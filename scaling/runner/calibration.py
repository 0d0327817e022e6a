"""What is known of the point without search, which a study may be held to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

KEYS = {"expected", "tolerance"}


@dataclass(frozen=True)
class Calibration:
    """What metrics are without search: {name: {expected, tolerance}}, over the first `conditions` (None: all).

    `expected` is a number, or numbers by guidance scale where it is known at several: {1.0: 8.84, 1.35: 2.78}.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    conditions: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.metrics, Mapping) or not self.metrics:
            raise ValueError("calibration.metrics names no metric: {fid: {expected: 8.84, tolerance: 0.3}} would")
        for name, entry in self.metrics.items():
            if not isinstance(entry, Mapping) or set(entry) != KEYS:
                raise ValueError(f"calibration.metrics.{name}={entry!r} must say expected and tolerance")
            if not entry["tolerance"] > 0:
                raise ValueError(f"calibration.metrics.{name}.tolerance={entry['tolerance']} must be above 0")

    def check(self, metrics: Iterable[str], conditions: int) -> None:
        """A ValueError where a metric is not among those of the study, or where there are too few conditions."""
        names = sorted(set(metrics))
        for name in self.metrics:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
                hint = f"did you mean {near[0]}? " if near else ""
                raise ValueError(
                    f"calibration.metrics.{name} is no metric of this study; {hint}valid: {', '.join(names)}"
                )
        if self.conditions is not None and not 1 <= self.conditions <= conditions:
            raise ValueError(
                f"calibration.conditions={self.conditions}, and the study has {conditions}; the expected values hold "
                "for their own count: take as many, or calibration=none"
            )

    def expected(self, guidance_scale: float) -> dict[str, tuple[float, float]]:
        """Value and tolerance of each metric that is number at this guidance scale."""
        found: dict[str, tuple[float, float]] = {}
        for name, entry in self.metrics.items():
            value = entry["expected"]
            if isinstance(value, Mapping):
                value = {float(scale): number for scale, number in value.items()}.get(float(guidance_scale))
            if value is not None:
                found[name] = float(value), float(entry["tolerance"])
        return found
