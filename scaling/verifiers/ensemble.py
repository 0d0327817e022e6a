"""Several verifiers as one: mean ranks where a pool is judged afterwards, calibrated z-scores inside a search.

A rank is relative to the set that is ranked (Ma et al. 2501.09732 rank the candidates of a prompt), so it can only
select; a search that weighs or compares candidates as they come needs scores of their own, hence the z-scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor

from scaling.identity import identity_of
from scaling.protocols import Condition, Verifier
from scaling.schema import recorded
from scaling.statistics import rounding
from scaling.traits import VerifierTraits
from scaling.verifiers.recorded import scores_of
from scaling.verifiers.sample_verifier import SampleVerifier


class MeanRank:
    """A selector: the candidate with the best unweighted mean of its ranks under `names` (None: every scorer)."""

    def __init__(self, *, names: Sequence[str] | None = None) -> None:
        self.names = None if names is None else tuple(names)

    def pick(self, scores: Mapping[str, Float[np.ndarray, " candidates"]]) -> int:
        """The place of the winner among one condition's candidates so far; the first of equals.

        Equal scores share their mean rank. A ValueError names a scorer that is not there.
        """
        names = tuple(scores) if self.names is None else self.names
        return int(np.argmin(np.mean([rankdata(-scores_of(scores, name)) for name in names], axis=0)))

    def __repr__(self) -> str:
        return f"MeanRank(names={self.names})"


class Ensemble(SampleVerifier):
    """A verifier: the mean of its members' z-scores, by a fixed mean and deviation of each.

    Args:
        members: verifiers by name that judge the final sample alone; all images, or all latents of one shape.
        calibration: `[mean, deviation]` by member, or the folder of a run that recorded all of them as scorers: means
            over all of its clean candidates, deviations within conditions, pooled. It is read once, so that a score
            never depends on what else was scored.

    Raises:
        ValueError: where members look at different things, or one has no mean and deviation above 0.
    """

    calibrated: ClassVar[bool] = True
    differentiable = True  # where all members are; a plan, which builds none of them, takes it that they are

    def __init__(self, *, members: Mapping[str, Verifier], calibration: Mapping[str, Sequence[float]] | str) -> None:
        if any(member.probe_sigma is not None for member in members.values()):
            raise ValueError("an ensemble's members must judge the final sample alone")
        shapes = {VerifierTraits.of(member).latent_shape for member in members.values()}
        if len(shapes) > 1:
            raise ValueError("an ensemble's members must all take images, or all latents of one shape")
        self.latent_shape = next(iter(shapes), None)
        if isinstance(calibration, str):
            calibration = calibrate(Path(calibration), tuple(members))
        for name in members:
            if name not in calibration or not float(calibration[name][1]) > 0:
                raise ValueError(f"verifier.calibration has no mean and deviation above 0 for {name}")
        self.members = dict(members)
        self.calibration = {name: tuple(float(v) for v in calibration[name]) for name in members}
        self.differentiable = all(member.differentiable for member in members.values())

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The mean z-score of each image in [0, 1]; what a member raises is raised."""
        z = []
        for name, member in self.members.items():
            mean, deviation = self.calibration[name]
            z.append((member(images, conditions).to(images.device) - mean) / deviation)
        return torch.stack(z).mean(dim=0)

    def notice_cut_prompts(self, conditions: Sequence[Condition]) -> None:
        """That of the members that have it."""
        for member in self.members.values():
            if count := getattr(member, "notice_cut_prompts", None):
                count(conditions)

    def identity(self) -> dict[str, Any]:
        """Class, calibration and the members' identities."""
        members = {name: identity_of(member) for name, member in self.members.items()}
        calibration = {name: list(values) for name, values in self.calibration.items()}
        return {"class": "Ensemble", "members": members, "calibration": calibration}


def calibrate(run: Path, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Mean, and pooled deviation within conditions, of a run's recorded scores of clean candidates.

    Raises:
        ValueError: where the folder is not a run's, or it did not record one of the names.
    """
    import pyarrow as pa
    from pyarrow import parquet

    files = sorted((run / "candidates").glob("part-*.parquet"))
    if not files:
        raise ValueError(f"verifier.calibration={run} has no candidates/part-*.parquet: the folder of a run is needed")
    table = pa.concat_tables([parquet.read_table(file) for file in files])
    columns = {name: recorded(table.column_names, name) for name in names}
    for name, column in columns.items():
        if column not in table.column_names:
            raise ValueError(f"{run} did not record {name}; it has {', '.join(table.column_names)}")
    clean = np.asarray(table["t"]) == 0
    _, condition = np.unique(np.asarray(table["condition"])[clean], return_inverse=True)
    result = {}
    for name in names:
        values = np.asarray(table[columns[name]], dtype=np.float64)[clean]
        there = np.isfinite(values)
        values, group = values[there], condition[there]
        means = np.bincount(group, values) / np.maximum(np.bincount(group), 1)
        free = len(values) - len(np.unique(group))
        if free < 1:
            raise ValueError(f"{run} scored no condition twice under {name}: no deviation can be told")
        apart = values - means[group]
        moves = bool((np.abs(apart) > rounding(means[group])).any())  # else it says one thing, and rounds
        result[name] = float(values.mean()), float(np.sqrt((apart**2).sum() / free)) * moves
    return result
