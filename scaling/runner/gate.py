"""A gate before a long study: the point without search is measured first and must be what it is known to be."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from scaling.budget import Budget
from scaling.journal.stream import digest
from scaling.protocols import Condition, Conditions
from scaling.runner.identities import UNMEASURED, run_identities, stream_identity
from scaling.runner.study import Study
from scaling.search.random import Random


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
        """That of the whole: its length aside they are the same conditions."""
        return self.conditions.identity()

    @property
    def metadata_digests(self) -> tuple[str, str]:
        """Those of the whole."""
        return getattr(self.conditions, "metadata_digests", ("", ""))


def gate_of(study: Study) -> Study | None:
    """The run without search that a study's calibration asks for; None where nothing is known of it."""
    calibration = study.calibration
    known = calibration is not None and calibration.expected(study.denoiser.guidance_scale)
    return without_search(study) if known else None


def check_gate(study: Study, plain: Study, folder: Path) -> None:
    """Compares the point without search, measured in `folder`; a ValueError says what is off and what to check."""
    assert study.calibration is not None
    expected = study.calibration.expected(study.denoiser.guidance_scale)
    with open(folder / "curve.csv", newline="") as file:
        measured = {row["metric"]: float(row["value"]) for row in csv.DictReader(file)}
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
        draft=None,
        conditions=First(study.conditions, count or len(study.conditions)),
        budget=Budget(study.budget.nfes_per_iter, study.budget.final, candidates=1),
        names={**study.names, "search": "random"},
        study="calibration",
        samples=0,
    )
    batch_size = study.batch_size or UNMEASURED
    searches = [(fitted, stream_identity(plain, fitted.search, batch_size)) for fitted in plain.searches()]
    return dataclasses.replace(plain, run=digest(run_identities(plain, searches, judges=False)))


def _advice(plain: Study) -> str:
    sampler = f"{type(plain.sampler).__name__}, {plain.budget.final} NFE"
    return (
        f"check the guidance (model.guidance_scale={plain.denoiser.guidance_scale:g}), the sampler and its NFE "
        f"({sampler}), the scale of the VAE's latents, the weights, the reference statistics and the count of "
        f"conditions ({len(plain.conditions)}); calibration=none runs the study all the same"
    )
