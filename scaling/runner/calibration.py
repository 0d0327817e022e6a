"""A gate before a long study: the point without search is measured first and must be what it is known to be."""

from __future__ import annotations

import csv
import dataclasses
import difflib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.budget import Budget
from scaling.journal.stream import digest
from scaling.protocols import Condition, Conditions
from scaling.search.random import Random

if TYPE_CHECKING:
    from scaling.runner.study import Study

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

    def check(self, known: Iterable[str], conditions: int) -> None:
        """A ValueError where a metric is not among those of the study, or where there are too few conditions."""
        names = sorted(set(known))
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
        """Value and tolerance of each metric that is known at this guidance scale."""
        found: dict[str, tuple[float, float]] = {}
        for name, entry in self.metrics.items():
            value = entry["expected"]
            if isinstance(value, Mapping):
                value = {float(scale): known for scale, known in value.items()}.get(float(guidance_scale))
            if value is not None:
                found[name] = float(value), float(entry["tolerance"])
        return found


@dataclass(frozen=True)
class First:
    """The beginning of a study's conditions."""

    conditions: Conditions
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Condition]:
        return islice(self.conditions, self.count)

    def identity(self) -> Mapping[str, Any]:
        return self.conditions.identity()


def calibrate(study: Study, run: Callable[[Study], Path]) -> None:
    """Measures the point without search and compares it; a ValueError says what is off and what to check."""
    calibration = study.calibration
    if calibration is None:
        return
    expected = calibration.expected(study.denoiser.guidance_scale)
    if not expected:
        if study.progress:
            scale = study.denoiser.guidance_scale
            print(f"not calibrated: no value is known at guidance scale {scale:g}", file=sys.stderr, flush=True)
        return
    plain = without_search(study)
    folder = run(plain)
    measured = _values(folder / "curve.csv")
    if missing := [name for name in expected if name not in measured]:
        raise ValueError(f"calibration: {missing[0]} needs more conditions than {len(plain.conditions)}")
    off = [
        f"{name} is {measured[name]:.4g}, expected {value:g} within {tolerance:g}"
        for name, (value, tolerance) in expected.items()
        if not abs(measured[name] - value) <= tolerance
    ]
    if off:
        (folder / "cost.json").unlink(missing_ok=True)  # so that it is judged anew, from what is kept
        raise ValueError(f"calibration: without search {'; '.join(off)}; {_advice(plain)}")


def without_search(study: Study) -> Study:
    """One random candidate a condition and its final solve: a run of its own that all like it share.

    It is the beginning of the stream of random search, so that nothing of it is paid twice.
    """
    count = len(study.conditions) if study.calibration is None else study.calibration.conditions
    plain = dataclasses.replace(
        study,
        search=Random(),
        selector=None,
        calibration=None,
        conditions=First(study.conditions, count or len(study.conditions)),
        budget=Budget(study.budget.nfes_per_iter, study.budget.final, candidates=1),
        names={**study.names, "search": "random"},
        study="calibration",
        samples=0,
    )
    return dataclasses.replace(plain, run=digest(plain.identities(study.batch_size or 0)))


def _values(curve: Path) -> dict[str, float]:
    with open(curve, newline="") as file:
        return {row["metric"]: float(row["value"]) for row in csv.DictReader(file)}


def _advice(plain: Study) -> str:
    sampler = f"{type(plain.sampler).__name__}, {plain.budget.final} NFE"
    return (
        f"check the guidance (model.guidance_scale={plain.denoiser.guidance_scale:g}), the sampler and its NFE "
        f"({sampler}), the scale of the VAE's latents, the weights, the reference statistics and the count of "
        f"conditions ({len(plain.conditions)}); calibration=none runs the study all the same"
    )
