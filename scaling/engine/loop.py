"""Many searches alive at once: each turn fills a batch across conditions, computes it, journals it, goes on."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaling.engine.batches import Batches, Columns, Row
from scaling.engine.episode import RECORD, Life, Needs
from scaling.engine.retention import best_so_far
from scaling.journal.block import Block, Keys
from scaling.noise import NoiseSpace
from scaling.protocols import Condition, Search, SearchTraits

OnRows = Callable[[int, int], None]  # told after each batch: rows, NFE
HOLD = 1.0  # seconds of later scores that may wait to be journaled
Queues = dict[tuple[int, bool, bool, bool], list[Row]]  # rows that wait, by their shape


@dataclass(frozen=True)
class Task:
    """One search over one block of conditions, up to `cap` search NFE each."""

    search: Search
    spaces: Sequence[NoiseSpace]
    conditions: Sequence[Condition]
    block: Block
    batches: Batches
    guiding: str  # name of the verifier that guides
    cap: int
    keep: str = "latents"
    scoring: bool = True  # False: a pass that only denoises and keeps

    @property
    def is_open_loop(self) -> bool:
        """Whether later verifiers may read this stream."""
        return SearchTraits.of(self.search).open_loop

    @property
    def needs(self) -> Needs:
        columns = self.batches.score_columns
        return Needs(
            columns[self.guiding], tuple(columns.values()) if self.scoring else (), SearchTraits.of(self.search).reads
        )

    def life(self, place: int) -> Life:
        return Life(place, self.search, self.spaces[place], self.block, self.needs, self.cap)


def run_block(task: Task, on_rows: OnRows = lambda rows, nfe: None) -> None:
    """Computes whatever the journal still lacks for all conditions of the block, in full batches where they fill."""
    if task.batches.phases and task.scoring:
        run_block(dataclasses.replace(task, scoring=False), on_rows)
    if task.scoring:
        _score_kept(task)
    answer = task.batches.solve if task.scoring else task.batches.denoise
    lives = {place: task.life(place) for place in incomplete(task)}
    queues: Queues = {}
    ahead = -(-2 * task.batches.size // max(len(lives), 1))  # rows that an open-loop search is asked ahead
    while True:
        open_lives = [life for life in lives.values() if not life.closed]
        for life in open_lives:
            while not life.closed and (life.waiting == 0 or (life.open_loop and life.waiting < ahead)):
                if rows := life.advance():
                    queues.setdefault(rows[0].shape, []).extend(rows)
        _mark_ends(task.block, [life for life in open_lives if life.closed])
        if not any(queues.values()):
            break
        shape = _next_shape(queues, task.batches.size)
        while True:
            rows, queues[shape] = queues[shape][: task.batches.size], queues[shape][task.batches.size :]
            _write(task, rows, answer(rows))
            for row in rows:
                lives[row.place].waiting -= 1
            on_rows(len(rows), sum(int(row.record[1]) for row in rows))
            if len(queues[shape]) < task.batches.size:
                break
    task.block.sync()


def _next_shape(queues: Queues, size: int) -> tuple[int, bool, bool, bool]:
    """One that fills a batch; else that of the search that has spent least, so that none is left to end alone."""
    waiting = {shape: rows for shape, rows in queues.items() if rows}
    return max(waiting, key=lambda shape: (len(waiting[shape]) >= size, -min(row.record[0] for row in waiting[shape])))


def incomplete(task: Task) -> list[int]:
    """The places of the conditions whose search the journal cannot answer up to the cap without running it."""
    block = task.block
    spent, scored, ends = block.dense("spent"), block.dense("scored", 0) > 0, block.dense("next")
    inside = spent <= task.cap
    present = ~np.isnan(spent)
    last = np.where(present, np.arange(1, spent.shape[1] + 1), 0).max(axis=1, initial=0)
    lacking = present.sum(axis=1) < last  # a damaged record left a hole
    for column in task.needs.scores:
        lacking |= (inside & scored & np.isnan(block.dense(column))).any(axis=1)
    rows = inside.sum(axis=1)
    ends = np.pad(ends, ((0, 0), (0, 1)), constant_values=np.nan)[np.arange(len(rows)), rows]
    total = np.where(inside, spent, 0).max(axis=1, initial=0)
    over = (spent > task.cap).any(axis=1) | (ends < 0) | (total + ends > task.cap)
    return np.flatnonzero(lacking | ~over).tolist()


def _score_kept(task: Task) -> None:
    """Gives kept samples the scores they lack: a later verifier costs decodes and scores, no denoising."""
    block, batches = task.block, task.batches
    clean = np.argwhere((block.dense("scored", 0) > 0) & (block.dense("t") == 0) & (block.dense("spent") <= task.cap))
    for name, verifier in batches.scorers.items():
        keys = clean[~block.has(batches.score_columns[name], clean) & block.has("latents", clean)]
        if verifier.probe is not None:  # where the prediction was not kept the rows are solved again
            keys = keys[block.has(batches.probe_column, keys)]
        waiting: list[tuple[Keys, Columns]] = []
        since = time.monotonic()
        for start in range(0, len(keys), batches.reach):
            part = keys[start : start + batches.reach]
            probes = None if verifier.probe is None else block.get(batches.probe_column, part)
            waiting.append((part, batches.rescore(block.get("latents", part), part[:, 0], [name], probes)))
            if time.monotonic() - since > HOLD or start + len(part) == len(keys):
                _write_scores(block, waiting)
                waiting, since = [], time.monotonic()


def _write_scores(block: Block, parts: Sequence[tuple[Keys, Columns]]) -> None:
    """Journals several batches of scores as one record: a block of many is read slowly."""
    columns = {name: np.concatenate([scores[name] for _, scores in parts]) for name in parts[0][1]}
    block.write(np.concatenate([keys for keys, _ in parts]), columns)


def _mark_ends(block: Block, lives: Sequence[Life]) -> None:
    """Notes what searches would do next, so that a finished condition need not be run again to know it."""
    keys = np.array([(life.place, life.rows) for life in lives], np.int64).reshape(-1, 2)
    new = ~block.has("next", keys)
    block.write(keys[new], {"next": np.array([life.next_nfe for life in lives], np.int64)[new]})


def _write(task: Task, rows: Sequence[Row], answers: Columns) -> None:
    """Journals a batch as one record; where only some samples are kept these come first, the charges count as done."""
    block, needs = task.block, task.needs
    keys = np.array([[row.place, row.number] for row in rows])
    clean = rows[0].times[-1] == 0
    records = zip(*(row.record for row in rows), strict=True)
    columns = {name: np.array(values, RECORD[name]) for name, values in zip(RECORD, records, strict=True)}
    columns |= {name: answers[name] for name in needs.scores if name in answers}
    columns |= {name: answers[name] for name in needs.reads if name in answers and not (clean and name != "gradient")}
    if clean:
        kept = np.ones(len(rows), bool) if needs.reads & {"x", "x0"} else _kept(task, keys, answers)
        samples = {"latents": answers["x"]}
        if "probe" in answers and task.keep == "latents" and task.is_open_loop:
            samples[task.batches.probe_column] = answers["probe"]
        if kept.all():
            columns |= samples
        else:
            block.write(keys[kept], {name: sample[kept] for name, sample in samples.items()})
    block.write(keys, columns)


def _kept(task: Task, keys: np.ndarray, answers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which latents to keep: all, none, or those that were best so far for some scorer, whatever the budget."""
    if task.keep != "winners" or task.needs.guiding not in answers:
        return np.full(len(keys), task.keep == "latents")
    kept = np.zeros(len(keys), bool)
    for column in task.needs.scores:
        known = task.block.dense(column, -np.inf)
        known = np.pad(known, ((0, 0), (0, max(0, keys[:, 1].max() + 1 - known.shape[1]))), constant_values=-np.inf)
        known[keys[:, 0], keys[:, 1]] = answers[column]
        kept |= best_so_far(known)[keys[:, 0], keys[:, 1]]
    return kept


def starts(task: Task, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Row]:
    """The rows behind some candidates, made again from their seed."""
    wanted: dict[int, set[int]] = {}
    for place, number in keys:
        wanted.setdefault(int(place), set()).add(int(number))
    return {
        (place, number): Row(place, number, x, times.double().cpu())
        for place, numbers in wanted.items()
        for number, (x, times) in task.life(place).find(numbers).items()
    }
