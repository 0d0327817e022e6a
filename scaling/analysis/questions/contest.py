"""Methods under several judges at several budgets, on the same prompts: each cell's accuracy, and how far from random.

A cell is a judge and a budget. A method is a search with its settings, on a model at a guidance scale; its runs that
differ in their seed alone are averaged prompt by prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scaling.analysis.figures.style import pretty
from scaling.analysis.runs.costs import cost
from scaling.analysis.runs.folder import Run, shared_conditions
from scaling.analysis.runs.made import words_of
from scaling.analysis.runs.names import Key, keys_of, method_of_key, words_apart
from scaling.schema import Point
from scaling.statistics import (
    Array,
    Interval,
    applying,
    fixed_list_interval,
    mean_interval,
    simultaneous_intervals,
)

BASE = "random"
Cell = tuple[str, int]  # the judge, and the search NFE that may be spent
OWN = "own score"  # of the winners, by the judge that guides
COSTS, SETS = ("total_gflops", "decodes", "seconds"), ("fid", "recall")


@dataclass(frozen=True)
class Entry:
    """One method: its value on every prompt in each cell that it has, and what it costs there."""

    key: Key  # of the method
    label: str  # its search, and what tells it from other entries of that
    repeats: dict[Cell, Array]  # each [seeds, prompts]
    beside: dict[Cell, dict[str, float]]  # COSTS a prompt, the guide's own score, SETS; NaN where it is not known
    seeds: int

    @property
    def search(self) -> str:
        """The search alone."""
        return self.key.search

    @cached_property
    def values(self) -> dict[Cell, Array]:
        """Each cell's values, [prompts], seeds averaged; NaN where a seed has none."""
        return {cell: each.mean(axis=0) for cell, each in self.repeats.items()}

    @property
    def prompts(self) -> int:
        """How many prompts it was judged on."""
        return len(applying(next(iter(self.values.values()))))

    def value(self, cell: Cell) -> float:
        """The mean in one cell."""
        return float(applying(self.values[cell]).mean())

    def mean(self, cells: Iterable[Cell]) -> Interval:
        """The mean over some cells, with its interval over prompts; a ValueError where it lacks one."""
        return mean_interval(applying(np.mean([self.values[cell] for cell in cells], axis=0)))

    def mean_of_these(self, cells: Sequence[Cell]) -> Interval:
        """The same for these very prompts: what fresh noises would change. NaN bounds where a cell has one seed."""
        if len({len(self.repeats[cell]) for cell in cells}) > 1:
            return Interval(self.mean(cells).value, float("nan"), float("nan"))
        every = np.mean([self.repeats[cell] for cell in cells], axis=0)
        return fixed_list_interval(np.ascontiguousarray(applying(every)))

    def has(self, cells: Iterable[Cell]) -> bool:
        """Whether it was run in all of these cells."""
        return all(cell in self.values for cell in cells)


def entries(runs: Sequence[Run], metric: str = "accuracy") -> list[Entry]:
    """An entry per method, in the order of the runs.

    Raises:
        ValueError: where no run has the metric, or runs have other prompts.
    """
    there = [run for run in runs if run.curve and run.has_winners and metric in run.metrics]
    if not there:
        raise ValueError(f"no run has {metric}; make some: scaling -m experiment=contest")
    if not shared_conditions(there):
        raise ValueError("the runs have different prompts: compare those of one study with one conditions.count")
    methods: dict[Key, list[Run]] = {}
    keys = keys_of(there, method_of_key)
    for run in there:
        methods.setdefault(keys[run.path], []).append(run)
    labels = _labels(list(methods))
    return [_entry(key, labels[key], members, metric) for key, members in methods.items()]


def cells_of(found: Sequence[Entry]) -> list[Cell]:
    """All cells, judges by the accuracy that they lead to (the weakest first), budgets rising."""
    led: dict[str, list[float]] = {}
    for entry in found:
        for judge, budget in entry.values:
            led.setdefault(judge, []).append(entry.value((judge, budget)))
    judges = sorted(led, key=lambda judge: np.mean(led[judge]))
    budgets = sorted({budget for entry in found for _, budget in entry.values})
    return [(judge, budget) for judge in judges for budget in budgets if any(e.has([(judge, budget)]) for e in found)]


def differences(entry: Entry, base: Entry, judge: str) -> dict[int, Interval]:
    """By budget: how far a method is above another under one judge, paired by prompt, simultaneous over the budgets."""
    budgets = sorted(budget for cell, budget in entry.values if cell == judge and base.has([(judge, budget)]))
    if not budgets:
        return {}
    apart = np.stack([entry.values[judge, budget] - base.values[judge, budget] for budget in budgets], axis=1)
    return dict(zip(budgets, simultaneous_intervals(apart[np.isfinite(apart).all(axis=1)]), strict=True))


def ranked(found: Sequence[Entry]) -> list[Entry]:
    """Those that were run in most cells first, then by their mean over them."""
    return sorted(found, key=lambda entry: (-len(entry.values), -entry.mean(entry.values).value))


def base_of(found: Sequence[Entry], entry: Entry | None = None) -> Entry:
    """Random search's entry, with the model and guidance of an `entry`; of several the one in most cells.

    A ValueError where it is not among them.
    """
    bases = [each for each in found if each.search == BASE]
    if not bases:
        raise ValueError(f"a comparison needs runs of {BASE} search; there are {', '.join(e.search for e in found)}")
    if entry is not None:
        model, guidance = entry.key.model, entry.key.guidance_scale
        bases = [base for base in bases if (base.key.model, base.key.guidance_scale) == (model, guidance)]
        if not bases:
            raise ValueError(
                f"{entry.label} needs runs of {BASE} search beside it: model={model}, guidance {guidance:g}"
            )
    return max(bases, key=lambda base: len(base.values))


def _labels(keys: Sequence[Key]) -> dict[Key, str]:
    """The search of each, with what tells it from others of the same search."""
    labels = {}
    for key in keys:
        alike = {each: {**each.described, **words_of(each.made)} for each in keys if each.search == key.search}
        labels[key] = ", ".join([pretty(key.search), *words_apart(alike, least=1)[key]])
    return labels


def _entry(key: Key, label: str, runs: Sequence[Run], metric: str) -> Entry:
    by_cell: dict[Cell, dict[int, tuple[Run, Point]]] = {}
    for run in runs:
        for point in run.series(metric):  # one that lies in two folders is no repeat
            by_cell.setdefault((run.identity.verifier, point.budget_nfe), {}).setdefault(point.seed, (run, point))
    repeats, beside = {}, {}
    for cell, members in by_cell.items():
        repeats[cell] = np.stack([run.per_sample(metric)[point.rung] for run, point in members.values()])
        each = [_beside(run, point) for run, point in members.values()]
        beside[cell] = {name: float(np.mean([found[name] for found in each])) for name in each[0]}
    return Entry(key, label, repeats, beside, len({run.identity.seed for run in runs}))


def _beside(run: Run, point: Point) -> dict[str, float]:
    found = dict[str, float]()
    for axis in COSTS:
        try:
            found[axis] = cost(run, point, axis)
        except ValueError:  # it was not counted, or the run paid for nothing itself
            found[axis] = float("nan")
    for name, column in ((OWN, run.identity.verifier), *((each, each) for each in SETS)):
        there = [each.value for each in run.curve if (each.metric, each.rung) == (column, point.rung)]
        found[name] = there[0] if there else float("nan")
    return found
