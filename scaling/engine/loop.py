"""Many episodes at once: each turn fills a batch across conditions, computes it, journals it, goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from scaling.engine.block_run import BlockRun
from scaling.engine.episode import Episode
from scaling.engine.requests import Answers, Charge, Columns, GroupKey, Request
from scaling.journal.block import Block, Keys

FLUSH_SECONDS = 1.0  # of later scores that may wait to be journaled
REDUCED = "reduced_batch"  # the journal's column for answers that came from a smaller batch than was asked for


class Queue:
    """Requests that wait for a batch, by what may share one."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._waiting: dict[GroupKey, list[Request]] = {}

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def add(self, requests: Sequence[Request]) -> None:
        """Puts an episode's requests, all of one group, at the end of their group."""
        if requests:
            self._waiting.setdefault(requests[0].group_key, []).extend(requests)

    def batches(self) -> Iterator[list[Request]]:
        """The full batches of a group that has some; else what the episode that has spent least waits for.

        Were the longest group first, one condition would be left to end alone, in batches of padding.
        """

        def order(key: GroupKey) -> tuple[bool, int]:
            requests = self._waiting[key]
            return len(requests) >= self._batch_size, -min(_charge(request).spent for request in requests)

        key = max((key for key, requests in self._waiting.items() if requests), key=order)
        while True:
            requests = self._waiting[key]
            self._waiting[key] = requests[self._batch_size :]
            yield requests[: self._batch_size]
            if len(self._waiting[key]) < self._batch_size:
                return


def run_searches(run: BlockRun) -> Iterator[Answers]:
    """Computes what the journal still lacks of a block's searches; yields each batch's answers once they are journaled.

    It is done when the iterator ends.
    """
    # 1) Kept samples get the scores that they lack: a later verifier costs decodes and scores, no denoising.
    yield from _score_kept(run)
    episodes = {index: run.episode(index) for index in incomplete(run)}
    size = run.batches.batch_size
    ahead = -(-2 * size // max(len(episodes), 1))  # candidates that an open-loop search is asked for ahead
    queue = Queue(size)
    while True:
        # 2) Every search that waits for nothing proposes; one that ends says what it would have done next.
        unfinished = [episode for episode in episodes.values() if not episode.closed]
        for episode in unfinished:
            while not episode.closed and (episode.waiting == 0 or (episode.open_loop and episode.waiting < ahead)):
                queue.add(episode.advance())
        _mark_ends(run.table, [episode for episode in unfinished if episode.closed])
        if not queue:
            break
        # 3) Batches are computed and journaled: from there the searches read their answers.
        for requests in queue.batches():
            answers = run.batches.solve(requests, run.encoded)
            _write(run, requests, answers)
            for request in requests:
                episodes[request.condition_index].waiting -= 1
            yield answers
    # 4) All is on disk before anything is said of it.
    run.table.sync()


def incomplete(run: BlockRun) -> list[int]:
    """The places of the conditions whose search the journal cannot answer to its end without running it.

    Three cases: a row is missing (its record was damaged); a row within the budget lacks a score that is wanted; or
    the journal does not show that the search stops here, neither by a row over the budget nor by what it noted of its
    next proposal: that it has none (-1), or one that costs too much.
    """
    table = run.table
    spent, scored, ends = table.dense("spent"), table.dense("scored", 0) > 0, table.dense("next")
    inside = spent <= run.fitted.nfe
    present = ~np.isnan(spent)
    last = np.where(present, np.arange(1, spent.shape[1] + 1), 0).max(axis=1, initial=0)
    lacking = present.sum(axis=1) < last
    for column in run.columns.scores:
        lacking |= (inside & scored & np.isnan(table.dense(column))).any(axis=1)
    rows = inside.sum(axis=1)
    ends = np.pad(ends, ((0, 0), (0, 1)), constant_values=np.nan)[np.arange(len(rows)), rows]
    total = np.where(inside, spent, 0).max(axis=1, initial=0)
    over = (spent > run.fitted.nfe).any(axis=1) | (ends < 0) | (total + ends > run.fitted.nfe)
    return np.flatnonzero(lacking | ~over).tolist()


def clean(run: BlockRun, nfe: int) -> np.ndarray:
    """Which candidates are finished and scored within so many search NFE, bool [conditions, candidates]."""
    table = run.table
    return (table.dense("spent") <= nfe) & (table.dense("scored", 0) > 0) & (table.dense("t") == 0)


def write_answers(run: BlockRun, keys: Keys, columns: Columns, answers: Answers) -> None:
    """Journals columns of some candidates, with a note where the batch had to be smaller than it should."""
    if answers.reduced_batch is not None:
        columns = {**columns, REDUCED: np.full(len(keys), answers.reduced_batch, np.int32)}
    run.table.write(keys, columns)


def _charge(request: Request) -> Charge:
    assert request.charge is not None, "an episode's requests are charged"
    return request.charge


def _score_kept(run: BlockRun) -> Iterator[Answers]:
    table, batches = run.table, run.batches
    candidates = np.argwhere(clean(run, run.fitted.nfe))
    for name, verifier in batches.scorers.items():
        column = batches.score_columns[name]
        keys = candidates[~table.has(column, candidates) & table.has("latents", candidates)]
        if verifier.probe_sigma is not None:  # where the prediction was not kept the candidates are solved again
            keys = keys[table.has(batches.probe_column, keys)]
        waiting: list[tuple[Keys, Answers]] = []
        since = time.monotonic()
        for start in range(0, len(keys), batches.batch_size):
            part = keys[start : start + batches.batch_size]
            probes = None if verifier.probe_sigma is None else table.get(batches.probe_column, part)
            answers = batches.rescore(table.get("latents", part), part, run.encoded, name, probes)
            waiting.append((part, answers))
            if time.monotonic() - since > FLUSH_SECONDS or start + len(part) == len(keys):
                # several batches as one record: a block of many records is read slowly
                scores = {column: np.concatenate([each[column] for _, each in waiting])}
                write_answers(run, np.concatenate([each for each, _ in waiting]), scores, answers)
                waiting, since = [], time.monotonic()
            yield answers


def _mark_ends(table: Block, episodes: Sequence[Episode]) -> None:
    """Notes what searches would do next, so that a finished condition need not be run again to know it."""
    keys = np.array([(each.condition_index, each.candidates) for each in episodes], np.int64).reshape(-1, 2)
    new = ~table.has("next", keys)
    table.write(keys[new], {"next": np.array([each.next_nfe for each in episodes], np.int64)[new]})


def _write(run: BlockRun, requests: Sequence[Request], answers: Answers) -> None:
    """Journals a batch as one record; where only some samples are kept these come first, the charges count as done."""
    table, wanted = run.table, run.columns
    keys = np.array([[request.condition_index, request.candidate_id] for request in requests])
    ends_clean = requests[0].times[-1] == 0
    columns = Charge.columns([_charge(request) for request in requests])
    scores = {name: answers[name] for name in wanted.scores if name in answers}
    columns |= scores
    if "gap" in wanted.reads and "gap" not in answers:
        raise ValueError("the search reads how far guidance moved the prediction, and the model does not hand it over")
    columns |= {
        name: answers[name] for name in wanted.reads if name in answers and not (ends_clean and name in ("x", "x0"))
    }
    if ends_clean:
        read_again = bool(wanted.reads & {"x", "x0"})
        stay = run.retention.of_batch(table, keys, scores, read_again, requests[0].score)
        samples = {"latents": answers["x"]}
        if "probe" in answers and run.retention.keeps_probes and run.traits.open_loop:
            samples[run.batches.probe_column] = answers["probe"]
        if stay.all():
            columns |= samples
        else:
            table.write(keys[stay], {name: sample[stay] for name, sample in samples.items()})
    write_answers(run, keys, columns, answers)
