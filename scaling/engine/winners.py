"""The winners of every rung: which they are, what the rung cost, their final samples and what metrics read of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from scaling.budget import Cost
from scaling.engine.batches import Row
from scaling.engine.ladder import solves_again
from scaling.engine.loop import Task, starts
from scaling.identity import identity_of
from scaling.journal.block import Keys
from scaling.journal.stream import digest
from scaling.protocols import RankSelector


@dataclass(frozen=True)
class Winners:
    """One block's incumbents at one rung, each array [conditions]."""

    rows: np.ndarray  # int64: the candidate's number
    scores: np.ndarray  # guiding score at search time
    candidates: np.ndarray  # scored clean candidates so far
    search: list[Cost]


def clean(task: Task, cap: int) -> np.ndarray:
    """Which rows are finished, scored candidates within the cap, bool [conditions, rows]."""
    block = task.block
    return (block.dense("spent") <= cap) & (block.dense("scored", 0) > 0) & (block.dense("t") == 0)


def winners(task: Task, cap: int, chosen: np.ndarray | None = None, selector: RankSelector | None = None) -> Winners:
    """The best clean candidate within the cap (the first of equals), and what the search had spent by then.

    A selector over the whole set has `chosen` the rows already; one by ranks picks here.
    """
    block = task.block
    spent, nfe, scored = block.dense("spent"), block.dense("nfe", 0), block.dense("scored", 0)
    inside, eligible = spent <= cap, clean(task, cap)
    scores = np.where(eligible, block.dense(task.needs.guiding), -np.inf)
    if not eligible.any(axis=1).all():
        place = int(np.argmin(eligible.any(axis=1)))
        raise ValueError(f"a budget of {cap} NFE leaves condition {place} without a finished candidate")
    rows = scores.argmax(axis=1) if chosen is None else chosen
    if selector is not None:
        rows = _picked(task, eligible, selector)
    per_call = task.batches.denoiser.forwards_per_call
    views = 2 if task.batches.scorers[task.guiding].probe is not None else 1
    charges = {
        "nfe": np.where(inside, nfe, 0).sum(axis=1),
        "backwards": np.where(inside, block.dense("backward", 0), 0).sum(axis=1) * per_call,
        "verifier_calls": (inside & (scored > 0)).sum(axis=1),
    }
    search = [
        Cost(
            nfe=int(charges["nfe"][i]),
            forwards=int(charges["nfe"][i]) * per_call,
            backwards=int(charges["backwards"][i]),
            decodes=int(charges["verifier_calls"][i]) * views,
            verifier_calls=int(charges["verifier_calls"][i]),
        )
        for i in range(len(rows))
    ]
    return Winners(rows, scores[np.arange(len(rows)), rows], eligible.sum(axis=1), search)


def _picked(task: Task, eligible: np.ndarray, selector: RankSelector) -> np.ndarray:
    columns = {name: task.block.dense(column) for name, column in task.batches.score_columns.items()}
    rows = []
    for place, own in enumerate(eligible):
        numbers = np.flatnonzero(own)
        rows.append(numbers[selector.pick({name: scores[place, numbers] for name, scores in columns.items()})])
    return np.array(rows)


class Finals:
    """Final samples of a block's winners, solved once each and kept in the journal like any other answer."""

    def __init__(self, task: Task, final_nfe: int) -> None:
        self.task, self.block = task, task.block
        self.final_nfe = final_nfe
        self.reuses = not solves_again(task.search, task.spaces[0].nfes_per_iter, final_nfe)
        self._tag = "" if self.reuses else f"final{final_nfe}/"

    def nfe(self, rows: Keys) -> np.ndarray:
        """What the second solve of these winners costs, [n]; 0 where the search's own sample is final."""
        if self.reuses:
            return np.zeros(len(rows), np.int64)
        return self.block.get(self._tag + "nfe", rows)

    def prepare(self, rows: Keys) -> None:
        """Solves what is missing: winners whose latents were not kept, and the second solve where it differs."""
        batches = self.task.batches
        for group in self._to_solve(rows).values():
            for start in range(0, len(group), batches.size):
                self._solve(group[start : start + batches.size])
        for name, column in batches.score_columns.items():
            missing = rows[~self.block.has(self._tag + column, rows)]
            for start in range(0, len(missing), batches.reach):
                part = missing[start : start + batches.reach]
                probes = self._probes(part) if batches.scorers[name].probe is not None else None
                columns = batches.rescore(self.latents(part), part[:, 0], [name], probes)
                self.block.write(part, {self._tag + c: values for c, values in columns.items()})

    def latents(self, rows: Keys) -> np.ndarray:
        return self.block.get(self._tag + "latents", rows)

    def _probes(self, rows: Keys) -> np.ndarray:
        return self.block.get(self._tag + self.task.batches.probe_column, rows)

    def scores(self, rows: Keys) -> dict[str, np.ndarray]:
        """Every scorer's score of the final samples, by the scorer's name."""
        columns = self.task.batches.score_columns
        return {name: self.block.get(self._tag + column, rows) for name, column in columns.items()}

    def features(self, rows: Keys) -> dict[str, np.ndarray]:
        """Every extractor's outputs for the final samples, computed once each."""
        batches = self.task.batches
        if not batches.extractors:
            return {}
        tag = self._tag + "features/" + digest({n: identity_of(e) for n, e in batches.extractors.items()}) + "/"
        missing = rows[~self.block.has(tag, rows)]
        for start in range(0, len(missing), batches.reach):
            part = missing[start : start + batches.reach]
            outputs = batches.features(self.latents(part), part[:, 0])
            columns = {tag + name: value for name, value in outputs.items()}
            self.block.write(part, {**columns, tag: np.ones(len(part), np.uint8)})
        names = [name for name in self.block.columns if name.startswith(tag) and name != tag]
        return {name.removeprefix(tag): self.block.get(name, rows) for name in names}

    def _to_solve(self, rows: Keys) -> dict[tuple[int, bool, bool, bool], list[Row]]:
        scorers, columns = self.task.batches.scorers, self.task.batches.score_columns
        needed = ["latents"] if self.reuses else ["latents", "nfe"]
        there = np.ones(len(rows), bool)
        for column in needed:
            there &= self.block.has(self._tag + column, rows)
        for name, verifier in scorers.items():
            if verifier.probe is not None:
                probed = self.block.has(self._tag + self.task.batches.probe_column, rows)
                there &= probed | self.block.has(self._tag + columns[name], rows)
        groups: dict[tuple[int, bool, bool, bool], list[Row]] = {}
        for row in starts(self.task, ((int(p), int(r)) for p, r in rows[~there])).values():
            row = row if self.reuses else self._final_row(row)
            groups.setdefault(row.shape, []).append(row)
        return groups

    def _final_row(self, row: Row) -> Row:
        space = self.task.spaces[row.place]
        start, stop = float(row.times[0]), float(row.times[-1])
        share = space.nfe(row.times) / space.nfes_per_iter  # a leg of the search gets its share of the final NFEs
        evaluations = space.sampler.nfe(torch.zeros(2))  # of one step that ends clean
        steps = max(round(self.final_nfe * share / evaluations), 1)
        return Row(row.place, row.number, row.x, space.schedule.grid(steps, start, stop))

    def _solve(self, rows: list[Row]) -> None:
        batches = self.task.batches
        answers = batches.denoise(rows) if batches.phases else batches.solve(rows)
        keys = np.array([[row.place, row.number] for row in rows])
        kept = {"latents": answers["x"]}
        if "probe" in answers and self.task.is_open_loop:
            kept[self.task.batches.probe_column] = answers["probe"]
        self.block.write(keys, {self._tag + name: column for name, column in kept.items()})
        if self.reuses:
            return
        scores = {self._tag + c: answers[c] for c in self.task.batches.score_columns.values() if c in answers}
        nfe = [self.task.spaces[row.place].nfe(row.times) for row in rows]
        self.block.write(keys, {**scores, self._tag + "nfe": np.array(nfe, np.int64)})


def block_cost(parts: list[Cost], final_nfe: np.ndarray, forwards_per_call: int) -> list[Cost]:
    """What a rung costs alone, condition by condition: its search and its winner's final solve and decode."""
    return [
        search + Cost(nfe=int(nfe), forwards=int(nfe) * forwards_per_call, decodes=int(nfe > 0))
        for search, nfe in zip(parts, final_nfe, strict=True)
    ]


def distinct(rungs: list[Winners]) -> Keys:
    """Every winner of a block once, by place and row."""
    keys = [(place, int(row)) for rung in rungs for place, row in enumerate(rung.rows)]
    return np.array(sorted(set(keys)), np.int64)
