"""Read-only access to what runs leave behind; safe while they run. Nothing here writes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from scaling.analysis.runs.curve_file import read_curve
from scaling.files import Damaged, read_json
from scaling.notices import notice
from scaling.schema import SEARCH, Candidate, Point, Winner, current_names, names

if TYPE_CHECKING:
    import pyarrow as pa

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it was built


@dataclass(frozen=True)
class Run:
    """One run's folder; every property is read when first asked for."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved Hydra config."""
        try:
            found = yaml.load(self._text("config.yaml"), LOADER)
        except yaml.YAMLError as error:
            raise Damaged(self.path / "config.yaml", error) from None
        if not isinstance(found, dict):
            raise Damaged(self.path / "config.yaml", "it holds no configuration")
        return found

    @property
    def choices(self) -> Mapping[str, str]:
        """The option chosen in each config group, e.g. `search: random`."""
        return self.config.get("choices") or {}

    @property
    def study(self) -> str:
        """The study's name; where the configuration gives none, the parent folder's."""
        return str(self.config.get("study") or self.path.parent.name)

    @cached_property
    def cost(self) -> dict[str, Any]:
        """What `cost.json` says; empty where there is none yet."""
        return read_json(self.path / "cost.json")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What `environment.json` says; empty where there is none."""
        return read_json(self.path / "environment.json")

    @property
    def done(self) -> bool:
        """Whether all of it was computed."""
        return bool(self.cost.get("done", False))

    @cached_property
    def curve(self) -> tuple[Point, ...]:
        """Every rung and metric, rungs rising."""
        return read_curve(self.path / "curve.csv", self._text("curve.csv"), self._budgets)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the file."""
        return tuple(dict.fromkeys(point.metric for point in self.curve))

    def series(self, metric: str) -> tuple[Point, ...]:
        """One metric's points, rungs rising."""
        if metric not in self.metrics:
            raise ValueError(f"{self.path} has no metric {metric!r}; it has {', '.join(self.metrics)}")
        return tuple(point for point in self.curve if point.metric == metric)

    @cached_property
    def idle(self) -> frozenset[int]:
        """The rungs that bought nothing: their costs and values are those of the rung before, to the last digit."""
        said: dict[int, list[str]] = {}
        for point in self.curve:
            said.setdefault(point.rung, []).append(repr(replace(point, rung=0, budget_nfe=0)))
        return frozenset(rung for rung, words in said.items() if words == said.get(rung - 1))

    @property
    def identity(self) -> Point:
        """A point that says what the run is: its model, verifier, search, guidance scale and seed."""
        if not self.curve:
            raise ValueError(f"{self.path / 'curve.csv'} holds no rung yet")
        return self.curve[0]

    @property
    def has_winners(self) -> bool:
        """Whether the winners' single scores are here; a run rebuilt from a dashboard has its curve alone."""
        return (self.path / "winners.parquet").exists()

    @cached_property
    def winners(self) -> pa.Table:
        """A row per rung and condition, sorted by both."""
        table = self._renamed(self._raw_winners, Winner)
        return table.sort_by([("rung", "ascending"), ("condition", "ascending")])

    @cached_property
    def per_sample_metrics(self) -> tuple[str, ...]:
        """Names of the scores that each final sample carries."""
        known = names(Winner)
        return tuple(n for n in self.winners.column_names if n not in known and not n.startswith(SEARCH))

    @property
    def search_scores(self) -> NDArray[np.float64]:
        """The guide's scores of the winners during the search, as rungs by conditions."""
        (column,) = (name for name in self.winners.column_names if name.startswith(SEARCH))
        return _by_rung(self.winners, self.path / "winners.parquet", column)

    def per_sample(self, metric: str, rungs: Sequence[int] | None = None) -> NDArray[np.float64]:
        """One score of the final samples at some rungs (None: all), as rungs by conditions.

        NaN where it does not apply (an image that cannot be read); `statistics.applying` leaves such conditions out.
        """
        if metric not in self.per_sample_metrics:
            known = ", ".join(self.per_sample_metrics)
            raise ValueError(f"{self.path} has no per-sample metric {metric!r}; it has {known}")
        values = _by_rung(self.winners, self.path / "winners.parquet", metric)
        return values if rungs is None else values[list(rungs)]

    @cached_property
    def _replicates(self) -> pa.Table:
        return self._table("replicates.parquet").sort_by([("rung", "ascending"), ("group", "ascending")])

    @cached_property
    def set_metrics(self) -> tuple[str, ...]:
        """Names of the set metrics, those with jackknife replicates."""
        if not (self.path / "replicates.parquet").exists():
            return ()
        return tuple(dict.fromkeys(self._replicates["metric"].to_pylist()))

    def replicates(self, metric: str) -> NDArray[np.float64]:
        """A set metric without each group of conditions, as rungs by groups."""
        if metric not in self.set_metrics:
            known = ", ".join(self.set_metrics) or "none"
            raise ValueError(f"{self.path} has no set metric {metric!r}; it has {known}")
        rows = np.array(self._replicates["metric"].to_pylist()) == metric
        return _by_rung(self._replicates.filter(rows), self.path / "replicates.parquet", "value")

    @cached_property
    def candidates(self) -> pa.Table:
        """Every scored candidate, sorted by condition and number."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        parts = sorted((self.path / "candidates").glob("part-*.parquet"))
        if not parts:
            raise ValueError(f"{self.path / 'candidates'} holds no part-*.parquet")
        tables = [self._renamed(pq.read_table(part), Candidate) for part in parts]
        table = pa.concat_tables(tables, promote_options="default")
        return table.sort_by([("condition", "ascending"), ("candidate", "ascending")])

    @cached_property
    def grids(self) -> dict[int, Path]:
        """The grid of winners of each rung, by the number in its name, rising."""
        found = {int(path.stem.removeprefix("rung-")): path for path in (self.path / "samples").glob("rung-*.png")}
        return dict(sorted(found.items()))

    @cached_property
    def images(self) -> dict[int, list[Path]]:
        """The winners' images of each rung by its NFE, rising, in the order of the conditions."""
        folders = {int(path.name): path for path in (self.path / "samples").glob("[0-9]*") if path.is_dir()}
        return {nfe: sorted(folders[nfe].glob("*.png")) for nfe in sorted(folders)}

    def _budgets(self) -> list[int]:
        """Search NFE of every rung of a run whose curve was written before it said so."""
        rungs = np.unique(np.stack([self._raw_winners["rung"], self._raw_winners["nfe"]], axis=1), axis=0)
        return [int(nfe) for _, nfe in rungs]

    @cached_property
    def _raw_winners(self) -> pa.Table:
        """The table as it lies there."""
        return self._table("winners.parquet")

    def _renamed(self, table: pa.Table, row: type) -> pa.Table:
        """A table under the names of today."""
        guide = self.identity.verifier if row is Winner else ""
        return table.rename_columns(current_names(row, table.column_names, guide))

    def _text(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except FileNotFoundError:
            raise ValueError(f"{self.path} is no run folder: it has no {name}") from None
        except UnicodeDecodeError as error:
            raise Damaged(self.path / name, error) from None

    def check(self) -> None:
        """A ValueError names the first of the run's files that cannot be read."""
        _ = self.config, self.cost, self.environment, self.curve
        for name in ("winners.parquet", "replicates.parquet"):
            if (self.path / name).exists():
                self._table(name)

    def _table(self, name: str) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not (self.path / name).exists():
            raise ValueError(f"{self.path} has no {name}")
        try:
            return pq.read_table(self.path / name)
        except (pa.ArrowException, OSError) as error:
            raise Damaged(self.path / name, error) from None


@dataclass(frozen=True)
class Study:
    """A folder of runs that belong together."""

    path: Path
    runs: tuple[Run, ...]
    faults: tuple[str, ...] = ()  # of runs that are left out since a file of theirs cannot be read

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name


def open_run(path: Path | str) -> Run:
    """The run in a folder; a ValueError where there is none."""
    run = Run(Path(path))
    if not run.path.is_dir():
        raise ValueError(f"there is no folder {run.path}")
    if not (run.path / "config.yaml").exists():
        hint = f"; it holds {len(held)} runs, name one, e.g. {held[0].path}" if (held := find_runs(run.path)) else ""
        raise ValueError(f"{run.path} is no run folder: it has no config.yaml{hint}")
    return run


def open_study(path: Path | str) -> Study:
    """Every run under a folder that has a curve (a single run's folder too); a ValueError where there is none.

    A run with a file that cannot be read is left out, with a notice for the end of the command.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}")
    runs = find_runs(path)
    if not runs:
        raise ValueError(f"{path} holds no run with a curve.csv; a study folder looks like outputs/<study>")
    faults = {run: fault for run in runs if (fault := _fault(run))}
    if len(faults) == len(runs):
        raise ValueError(next(iter(faults.values())))
    for run, fault in faults.items():
        notice(f"{run.name} is left out: {fault}", [run.path])
    return Study(path, tuple(run for run in runs if run not in faults), tuple(faults.values()))


def _fault(run: Run) -> str:
    """What cannot be read of a run; nothing where all can."""
    try:
        run.check()
    except (ValueError, OSError, csv.Error) as error:
        return " ".join(str(error).split())
    return ""


def find_runs(path: Path) -> tuple[Run, ...]:
    """The runs with a curve under a folder, at any depth, by name."""
    folders = [curve.parent for curve in sorted(path.rglob("curve.csv"))]
    return tuple(Run(folder) for folder in folders if (folder / "config.yaml").exists())


def _by_rung(table: pa.Table, path: Path, column: str) -> NDArray[np.float64]:
    """A column of a table sorted by rung, as one row a rung."""
    rungs = table["rung"].to_numpy()
    counts = np.unique(rungs, return_counts=True)[1]
    if len(set(counts.tolist())) != 1:
        raise ValueError(f"{path} is uneven: its rungs have {', '.join(map(str, counts.tolist()))} rows")
    return table[column].to_numpy().astype(np.float64).reshape(len(counts), -1)


def shared_conditions(runs: Iterable[Run]) -> bool:
    """Whether the runs judged the same conditions in the same order, so that their differences are paired."""
    listed = []
    for run in runs:
        first = run.winners.filter(run.winners["rung"].to_numpy() == 0)
        listed.append(first.select(["condition", "class_label", "prompt", "copy"]).to_pydict())
    return all(each == listed[0] for each in listed)
