"""Runs of one method at several budgets, read as the one run that climbs them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.made import words_of
from scaling.analysis.runs.names import keys_of
from scaling.notices import notice
from scaling.schema import Point

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Ladder(Run):
    """Some runs as one; its path, config and candidates are those of the largest budget."""

    runs: tuple[Run, ...]  # budgets rising

    @property
    @override
    def name(self) -> str:
        return f"{self.path.name} and {len(self.runs) - 1} smaller"

    @cached_property
    def cost(self) -> dict[str, Any]:
        """What all of them paid, and whether all are done."""
        costs = [run.cost for run in self.runs]
        paid = [cost.get("paid") or {} for cost in costs]
        parts = [cost.get("seconds_by_part") or {} for cost in costs]
        return {
            **costs[-1],
            "done": all(run.done for run in self.runs),
            "seconds": sum(cost.get("seconds") or 0.0 for cost in costs),
            "paid": {name: sum(each.get(name, 0) for each in paid) for name in paid[-1]},
            "seconds_by_part": {name: sum(each.get(name, 0.0) for each in parts) for name in parts[-1]},
        }

    @cached_property
    @override
    def curve(self) -> tuple[Point, ...]:
        return tuple(
            replace(point, rung=rung)
            for rung, (run, own) in enumerate(self._rungs)
            for point in run.curve
            if point.rung == own
        )

    @cached_property
    @override
    def winners(self) -> pa.Table:
        return self._stacked([run.winners for run in self.runs])

    @cached_property
    @override
    def grids(self) -> dict[int, Path]:
        return {nfe: path for run in self.runs for nfe, path in run.grids.items()}

    @cached_property
    @override
    def images(self) -> dict[int, list[Path]]:
        return {nfe: paths for run in self.runs for nfe, paths in run.images.items()}

    @cached_property
    def _replicates(self) -> pa.Table:
        return self._stacked([run._replicates for run in self.runs])

    @cached_property
    def _rungs(self) -> tuple[tuple[Run, int], ...]:
        """Whose rung each one is, and which there; one that several runs have is taken once."""
        found = {point.nfe: (run, point.rung) for run in self.runs for point in run.series(run.identity.metric)}
        return tuple(found[nfe] for nfe in sorted(found))

    def _stacked(self, tables: Sequence[pa.Table]) -> pa.Table:
        """One table a run, as one whose rungs are counted through."""
        import pyarrow as pa

        by_run = dict(zip(self.runs, tables, strict=True))
        parts = []
        for rung, (run, own) in enumerate(self._rungs):
            part = by_run[run].filter(by_run[run]["rung"].to_numpy() == own)
            place = part.column_names.index("rung")
            parts.append(part.set_column(place, "rung", pa.array([rung] * len(part), part["rung"].type)))
        return pa.concat_tables(parts, promote_options="default")


def joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs, those that differ in nothing but their budget as one: a sweep over budgets is a curve.

    Joined are runs of one line and seed with as many conditions and the same metrics.
    """
    keys = keys_of([run for run in runs if run.curve])
    for path, key in keys.items():
        if key.made:
            words = " and ".join(words_of(key.made))
            notice(f"{{n}} runs of equal settings are kept apart, since they were made by other {words}", [path])
    alike: dict[tuple, list[Run]] = {}
    for run in runs:
        own: tuple = (run.path,)
        if run.curve:
            conditions = max(point.conditions for point in run.curve)  # a score may not apply to some of them
            own = keys[run.path], run.identity.seed, conditions, run.metrics, run.has_winners
        alike.setdefault(own, []).append(run)
    rising = [sorted(group, key=lambda run: run.curve[-1].nfe if run.curve else 0) for group in alike.values()]
    return tuple(group[0] if len(group) == 1 else Ladder(group[-1].path, tuple(group)) for group in rising)
