"""A pool of scored candidates, from a run or from anybody's parquet file, and all that best of n says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from scaling.analysis.questions.best_of_n import best_of_n, powers_of_two, rank_ensemble, set_metric
from scaling.analysis.questions.pool_table import read_pool_table
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.names import settings_of
from scaling.schema import SEARCH, Candidate, names
from scaling.statistics import Array, Interval, in_range, jackknife_interval, mean_interval

if TYPE_CHECKING:
    import pyarrow as pa

OPEN_LOOP = ("random",)  # searches whose candidates would be the same whatever the budget
Reference = tuple[Array, Array]  # mean [d] and covariance [d, d]


@dataclass(frozen=True)
class Pool:
    """N candidates of each condition: scores by name, [conditions, N], and feature rows by name, [conditions, N, d]."""

    scores: dict[str, Array]
    features: dict[str, Array] = field(default_factory=dict)
    dropped: int = 0  # candidates left out so that every condition has N
    note: str = ""
    lost: int = 0  # conditions left out, since no candidate of theirs has all scores

    @property
    def size(self) -> int:
        """Candidates a condition."""
        return next(iter(self.scores.values())).shape[1]


@dataclass(frozen=True)
class Row:
    """One number: the expected value of the candidate that a guide picks among n."""

    guide: str
    value: str
    n: int
    interval: Interval
    covers: str
    single: bool = False  # the one subset there is: nothing was averaged
    fixed: tuple[float, float] = (float("nan"), float("nan"))  # bounds for this very list of conditions, fresh noises


def read_pool(path: Path) -> Pool:
    """Reads a parquet file: `condition` (any type), `candidate` (optional) and a number column per score.

    List columns of numbers are features, for set metrics; of a column `step` only the last one counts. ValueErrors
    name what is missing, a candidate that is there twice, and one that does not reach the last step.
    """
    table = read_pool_table(path, ("condition",), ("condition", "step"))
    if "step" in table.column_names:  # scores on the way: see `rungs --pool`
        table = _last_steps(table, str(path))
    keys = [("condition", "ascending")] + [("candidate", "ascending")] * ("candidate" in table.column_names)
    return _pool(table.sort_by(keys), str(path))


def pool_of(run: Run) -> Pool:
    """The candidates of a run of an open-loop search; a ValueError for searches that follow their scores."""
    if run.identity.search not in OPEN_LOOP:
        known = ", ".join(OPEN_LOOP)
        raise ValueError(
            f"{run.path} searched by {run.identity.search}, whose candidates depend on the scores; best of n for every "
            f"n needs an open-loop stream ({known})"
        )
    pool = _pool(run.candidates, str(run.path))
    settings = settings_of(run)
    final, per_iter = settings.get("budget.final_nfe"), settings.get("budget.nfes_per_iter")
    resolved = bool(final) and final != per_iter
    note = f"search-time samples of {per_iter} NFE; the winners are solved again with {final}" if resolved else ""
    return replace(pool, note=note)


def best_of_n_rows(
    pool: Pool,
    guides: Sequence[str] | None = None,
    values: Sequence[str] | None = None,
    ladder: Sequence[int] | None = None,
    reference: Reference | None = None,
    seed: int = 0,
) -> list[Row]:
    """Every value under every guide at every n, the guides' rank ensemble too where there are several.

    With a reference, FID of each feature column by subsets. ValueErrors name unknown columns.
    """
    guides, values = _chosen(pool, guides), _chosen(pool, values)
    rows: list[Row] = []
    for n in ladder or powers_of_two(pool.size):
        for value in values:
            for guide in guides:
                pair = pool.scores[guide], pool.scores[value]
                found = mean_interval(best_of_n(*pair, n), seed, value)
                rows.append(Row(guide, value, n, found, "the mean over conditions", fixed=fixed_list(*pair, n)))
            if len(guides) > 1:
                each, _ = rank_ensemble({name: pool.scores[name] for name in guides}, pool.scores[value], n, seed=seed)
                rows.append(Row("ensemble", value, n, mean_interval(each, seed, value), "the mean over conditions"))
        if reference is None:
            continue
        for name, features in pool.features.items():
            fid = partial(_fid, features, reference)
            for guide in guides:
                made = set_metric(pool.scores[guide], n, fid, seed=seed)
                covers = f"the expected FID at {len(features)} conditions"
                rows.append(Row(guide, f"fid({name})", n, in_range("fid", made.interval), covers, made.single))
    return rows


def fixed_list(scores: NDArray, values: NDArray, n: int, groups: int = 20) -> tuple[float, float]:
    """Bounds of the mean best of n for this very list of conditions, whose candidates alone may differ (2609.40190).

    The delete-group jackknife over candidates, the same groups in every condition. NaN where n is above a quarter of
    the pool, beyond which it is not to be trusted, or where there are fewer candidates than groups.
    """
    size = scores.shape[1]
    if 4 * n > size or size < groups:
        return float("nan"), float("nan")
    group = np.arange(size) % groups
    without = [best_of_n(scores[:, group != g], values[:, group != g], n).mean() for g in range(groups)]
    return jackknife_interval(float(best_of_n(scores, values, n).mean()), np.array(without))


def frechet_distance(features: NDArray, mean: NDArray, covariance: NDArray) -> float:
    """Squared Frechet distance between Gaussians: of the features (covariance with ddof 1) and of the reference."""
    ours_mean, ours = features.mean(axis=0), np.cov(features, rowvar=False)
    root = linalg.sqrtm(covariance).real
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ ours @ root), 0)).sum()
    return float(np.sum((ours_mean - mean) ** 2) + np.trace(ours) + np.trace(covariance) - 2 * overlap)


def read_reference(path: Path) -> Reference:
    """Mean and covariance from an npz: `mu` and `sigma`, as is customary, or `mean` and `covariance`."""
    with np.load(path) as file:
        for names in (("mu", "sigma"), ("mean", "covariance")):
            if set(names) <= set(file.files):
                return file[names[0]].astype(np.float64), file[names[1]].astype(np.float64)
        raise ValueError(f"{path} needs the arrays mu and sigma; it has {', '.join(file.files)}")


def _fid(features: Array, reference: Reference, conditions: NDArray, picks: NDArray) -> float:
    return frechet_distance(features[conditions, picks], *reference)


def _chosen(pool: Pool, names: Sequence[str] | None) -> list[str]:
    for name in names or ():
        if name not in pool.scores:
            raise ValueError(f"the pool has no score {name!r}; it has {', '.join(pool.scores)}")
    return list(names or pool.scores)


def _last_steps(table: pa.Table, where: str) -> pa.Table:
    """The rows of the last step; a score of a step before it is no final one, so that all candidates need it."""
    _check_single(table, where)
    steps = table["step"].to_numpy()
    table = table.append_column("last", [steps == steps.max()])
    keys = [name for name in ("condition", "candidate") if name in table.column_names]
    sums = [("last", "sum"), ("step", "count_distinct"), ([], "count_all")]
    for row in table.group_by(keys, use_threads=False).aggregate(sums).to_pylist():
        if row["last_sum"] * row["step_count_distinct"] < row["count_all"]:  # several candidates, where none is named
            said = ", ".join(f"{key} {row[key]!r}" for key in keys)
            raise ValueError(f"{where}: {said} does not reach step {steps.max()}, as others do: leave it out")
    return table.filter(table["last"]).drop_columns(["step", "last"])


def _check_single(table: pa.Table, where: str) -> None:
    """A ValueError names the first candidate (and step) that is there twice."""
    keys = [name for name in ("condition", "candidate", "step") if name in table.column_names]
    if "candidate" not in keys:
        return
    counts = table.group_by(keys, use_threads=False).aggregate([([], "count_all")])
    twice = np.flatnonzero(counts["count_all"].to_numpy() > 1)
    if len(twice):
        row = counts.slice(int(twice[0]), 1).to_pylist()[0]
        said = ", ".join(f"{key} {row[key]!r}" for key in keys)
        raise ValueError(f"{where} has {said} {row['count_all']} times: leave one row of each")


def _pool(table: pa.Table, where: str) -> Pool:
    """Equal numbers of candidates for every condition: the first N of each, N the smallest count."""
    import pyarrow as pa

    everyone = table["condition"]
    table = table.filter(table["t"].to_numpy() == 0) if "t" in table.column_names else table
    _check_single(table, where)
    found = [name for name in table.column_names if name not in names(Candidate)]
    if not table.num_rows or not found:
        raise ValueError(f"{where} holds no scored candidate")
    candidates = table.num_rows
    numbers = [name for name in found if _is_number(table.schema.field(name).type)]
    for name in numbers:  # an image that a judge could not score is no candidate
        table = table.filter(~np.isnan(table[name].to_numpy(zero_copy_only=False).astype(np.float64)))
    if not table.num_rows:
        raise ValueError(f"{where} holds no candidate with all of {', '.join(numbers)}")
    conditions = np.unique(table["condition"].to_numpy(zero_copy_only=False), return_inverse=True)[1]
    counts = np.bincount(conditions)
    size = int(counts.min())
    place = np.arange(len(conditions)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = place < size
    scores: dict[str, Array] = {}
    features: dict[str, Array] = {}
    for column_name in found:
        name, kind = column_name.removeprefix(SEARCH), table.schema.field(column_name).type
        if _is_number(kind):
            column: Any = table[column_name].to_numpy(zero_copy_only=False).astype(np.float64)
            scores[name] = column[kept].reshape(len(counts), size)
        elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            column = np.stack(table[column_name].to_numpy(zero_copy_only=False))
            features[name] = column[kept].reshape(len(counts), size, -1).astype(np.float64)
    if not scores:
        raise ValueError(f"{where} has no column of numbers that could be a score")
    lost = len(np.unique(everyone.to_numpy(zero_copy_only=False))) - len(counts)
    return Pool(scores, features, candidates - int(kept.sum()), lost=lost)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))
