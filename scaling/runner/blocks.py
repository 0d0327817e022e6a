"""The blocks of a run, shared out by leases: take what is free, come back for what others compute, read theirs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from scaling.budget import Cost
from scaling.engine.block_run import BlockRun
from scaling.engine.final_samples import final_samples
from scaling.engine.ladder import FittedSearch
from scaling.engine.loop import REDUCED, run_searches
from scaling.engine.winners import distinct, pick
from scaling.journal.lease import Lease, LeaseLost, Leases
from scaling.journal.stream import Stream, blocks_of
from scaling.output.block_result import BlockResult, collect, holds, join, mean_score, rungs_in, save
from scaling.output.samples import write_samples
from scaling.output.tables import write_candidates
from scaling.protocols import Condition, RankSelector
from scaling.runner.ledger import Ledger, account_of
from scaling.runner.progress import Progress
from scaling.runner.resolve import ResolvedStudy
from scaling.stop import check_stop

PAUSE = (0.02, 2.0)  # seconds between looks at what others hold: at first, at last


class LeasedBlock:
    """A block of conditions that this process alone computes, within `with`: there it is left alone once a lease ends.

    A lease that another process took over ends the work on the block without an error.
    """

    def __init__(self, path: Path, number: int, runs: Sequence[BlockRun], progress: Progress, held: ExitStack) -> None:
        """`path` is that of the block's file, `runs` are its searches, `held` their leases."""
        self.path, self.number, self.runs = path, number, runs
        self.rungs_before = rungs_in(path)
        self._ledger, self._progress, self._held = Ledger(path, account_of(path)), progress, held

    def __enter__(self) -> LeasedBlock:
        if self.runs:
            self._held.enter_context(self.runs[0].batches.rows.telling(self._ledger.expect))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._held.close()
        return isinstance(error, LeaseLost)

    def search(self, run: BlockRun) -> None:
        """Runs a search to its end, on every condition."""
        for answers in run_searches(run):
            self.pay(answers.cost)
            self._progress.rows(answers.cost.rows, answers.cost.nfe)

    def pay(self, cost: Cost) -> None:
        """Notes what was computed for the block."""
        self._ledger.add(cost)

    def save(self, result: BlockResult) -> None:
        """Writes the block's file, with what it cost."""
        was_reduced = any(REDUCED in run.table.columns for run in self.runs)
        save(self.path, result | {REDUCED: np.array(was_reduced)} | self._ledger.total().columns())
        self._ledger.close()


def leased_blocks(study: ResolvedStudy, leases: Leases, folder: Path) -> Iterator[LeasedBlock]:
    """The blocks whose file in `folder` does not answer for all rungs yet, one after the other.

    Those that other processes hold are waited for: it ends when every file is there, whoever wrote it.
    """
    streams, count = study.open_streams(), len(study.rungs)
    left = dict(blocks_of(study.conditions, study.journal.block_size))
    pause = PAUSE[0]
    nfe = sum(fitted.nfe for fitted, _ in streams)
    with Progress(study.title, len(study.conditions), study.progress, nfe) as progress:
        while left:
            before = len(left)
            for number, conditions in list(left.items()):
                path = block_path(folder, number)
                there = rungs_in(path) >= count
                if not there and (block := _take(study, leases, streams, number, conditions, path, progress)):
                    yield block
                if there or rungs_in(path) >= count:
                    progress.block(len(left.pop(number)), mean_score(path), not there)
            check_stop()
            pause = PAUSE[0] if len(left) < before else min(2 * pause, PAUSE[1], leases.patience / 10)
            if left and len(left) == before:
                progress.waiting(
                    leases.waiting_for([stream.block_folder(number) for number in left for _, stream in streams])
                )
                time.sleep(pause)


def block_path(folder: Path, number: int) -> Path:
    """The file of a block's results."""
    return folder / f"{number:05d}.npz"


def block_paths(study: ResolvedStudy, folder: Path) -> list[Path]:
    """The files of all blocks."""
    return [block_path(folder, number) for number in range(-(-len(study.conditions) // study.journal.block_size))]


def run_blocks(study: ResolvedStudy, leases: Leases, selection: np.ndarray | None = None) -> list[Path]:
    """Sees to it that every block of the run has its file, written here or by another worker.

    `selection` are the candidates that a selector over the whole set chose, [rungs, conditions].
    """
    folder = study.folder / "blocks"
    for block in leased_blocks(study, leases, folder):
        with block:
            run = block.runs[0]
            block.pay(Cost(encode_seconds=run.encoded.seconds + (run.second.encoded.seconds if run.second else 0.0)))
            block.save(join([_result(study, block, run, selection) for run in block.runs]))
    return block_paths(study, folder)


def reduced(study: ResolvedStudy, parts: Sequence[Path]) -> bool:
    """Whether any answer of the streams came from a smaller batch than their identity says."""
    if any((stream.folder / "halved.json").exists() for _, stream in study.open_streams()):  # of earlier versions
        return True
    return any(holds(path, REDUCED) for path in parts)


def _take(
    study: ResolvedStudy,
    leases: Leases,
    streams: Sequence[tuple[FittedSearch, Stream]],
    number: int,
    conditions: list[Condition],
    path: Path,
    progress: Progress,
) -> LeasedBlock | None:
    """A block under the leases of its streams; None while another process holds one, or where its file is there."""
    with ExitStack() as held:
        owned: list[Lease] = []
        for _, stream in streams:
            lease = leases.take(stream.block_folder(number))
            if lease is None:
                return None
            owned.append(held.enter_context(lease))
        if rungs_in(path) >= len(study.rungs):  # another worker of this run was quicker
            return None
        leased = zip(streams, owned, strict=True)
        opened = [(fitted, stream.block(number, conditions, lease)) for (fitted, stream), lease in leased]
        runs = study.block_runs(number, conditions, opened)
        return LeasedBlock(path, number, runs, progress, held.pop_all())
    return None


def _result(study: ResolvedStudy, block: LeasedBlock, run: BlockRun, selection: np.ndarray | None) -> BlockResult:
    """The winners of a search's rungs with all that metrics read of them."""
    outcome, first = study.outcome, run.encoded.first
    ranks = outcome.selector if isinstance(outcome.selector, RankSelector) else None
    chosen = None if selection is None else selection[:, first : first + len(run.conditions)]
    block.search(run)
    winners = [pick(run, rung, None if chosen is None else chosen[rung.index], ranks) for rung in run.fitted.rungs]
    finals = final_samples(run, distinct(winners), outcome.final_nfe)
    block.pay(finals.cost)
    result = collect(run, finals, winners, outcome.per_sample)
    write_candidates(study.folder, block.number, run)
    fresh = [each for each in winners if each.rung.index >= block.rungs_before]
    block.pay(write_samples(study.folder, run, finals, fresh, outcome.samples))
    return result
