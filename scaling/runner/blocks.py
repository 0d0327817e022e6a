"""The blocks of a run, shared out by leases: take what is free, come back for what others compute, read theirs."""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scaling.engine.batches import Batches, Paid
from scaling.engine.ladder import Stage, caps_of
from scaling.engine.loop import Task, run_block
from scaling.engine.winners import Finals, winners
from scaling.journal.block import Block
from scaling.journal.lease import Lease, LeaseLost, Leases
from scaling.journal.stream import Stream, blocks_of, write_atomically
from scaling.output import block_result as collect
from scaling.output.candidates import candidates_path, write_candidates
from scaling.output.samples import write_samples
from scaling.protocols import Condition, RankSelector, SearchTraits
from scaling.runner.progress import Progress
from scaling.stop import check_stop

if TYPE_CHECKING:
    from scaling.runner.study import Study

PAUSE = (0.02, 2.0)  # seconds between looks at what others hold: at first, at last


@dataclass(frozen=True)
class Work:
    """What a run computes its blocks with."""

    study: Study
    batches: Batches
    journal: Path
    guiding: str
    keep: str
    leases: Leases
    stages: Sequence[Stage]  # the ladder as far as it is climbed now
    selection: np.ndarray | None = None  # rows chosen by a selector over the whole set, [rungs, conditions]

    @property
    def streams(self) -> list[tuple[Stage, Stream]]:
        study = self.study
        identities = [(stage, study.identity(stage.search, self.batches.size)) for stage in self.stages]
        return [(stage, Stream(self.journal, identity, study.block_size)) for stage, identity in identities]

    @property
    def caps(self) -> list[int]:
        return caps_of(self.stages)

    def chosen(self, rung: int, first: int) -> np.ndarray | None:
        """The rows that were selected for a block's conditions, which begin at `first`."""
        if self.selection is None:
            return None
        return self.selection[rung, first : first + self.study.block_size]

    def part(self, number: int) -> Path:
        return self.study.folder / "blocks" / f"{number:05d}.npz"


@dataclass(frozen=True)
class Share:
    """One stage's part of a block: its search, its stream, and the task that this process holds the lease for."""

    stage: Stage
    stream: Stream
    task: Task


Make = Callable[[Work, int, list[Share], Progress], collect.Part]


def run_blocks(work: Work) -> list[Path]:
    """Sees to it that every block of the run has its part, computed here or by another worker."""
    return visit(work, work.part, _part)


def visit(work: Work, path_of: Callable[[int], Path], make: Make) -> list[Path]:
    """Makes a file for every block under the leases of its streams, wherever no other worker does.

    A file that answers for fewer rungs is made anew, with what it cost added.
    """
    study, streams = work.study, work.streams
    left = dict(blocks_of(study.conditions, study.block_size))
    paths = [path_of(number) for number in left]
    pause, top = PAUSE[0], len(work.caps)
    title = study.run if study.order == "conditions" else f"{study.run}, rung {top}"
    nfe = sum(stage.cap for stage in work.stages)
    with Progress(title, len(study.conditions), study.progress, nfe) as progress:
        while left:
            before = len(left)
            for number, conditions in list(left.items()):
                path = path_of(number)
                there = rungs_of(path) >= top
                if there or _compute(work, streams, number, conditions, path, make, progress):
                    progress.block(len(left.pop(number)), _mean_score(path), not there)
            check_stop()
            pause = PAUSE[0] if len(left) < before else min(2 * pause, PAUSE[1], work.leases.patience / 10)
            if left and len(left) == before:
                folders = [stream.block_folder(number) for number in left for _, stream in streams]
                progress.waiting(work.leases.waiting_for(folders))
                time.sleep(pause)
    return paths


def rungs_of(path: Path) -> int:
    """For how many rungs of the ladder a block's file answers; 0 where there is none."""
    if not path.exists():
        return 0
    return 1 + int(collect.load(path, ["rung/index"])["rung/index"].max())


def spent(parts: Sequence[Path]) -> tuple[Paid, float, float]:
    """What all workers paid for the parts, the seconds that took them, and the highest memory of any (MB)."""
    names = [field.name for field in dataclasses.fields(Paid)]
    own = [collect.load(path, [*(f"paid/{name}" for name in names), "seconds", "memory_mb"]) for path in parts]
    paid = Paid(**{name: sum(int(part[f"paid/{name}"]) for part in own) for name in names})
    return paid, sum(float(part["seconds"]) for part in own), max(float(part["memory_mb"]) for part in own)


def halved(streams: Sequence[tuple[Stage, Stream]]) -> bool:
    """Whether any answer of the streams came from a smaller batch than their identity says."""
    return any(_mark(stream).exists() for _, stream in streams)


def _compute(
    work: Work,
    streams: Sequence[tuple[Stage, Stream]],
    number: int,
    conditions: list[Condition],
    path: Path,
    make: Make,
    progress: Progress,
) -> bool:
    """Makes a block's file under the leases of its streams; False while another process holds one of them."""
    batches, begun = work.batches, time.monotonic()
    before = dataclasses.replace(batches.paid)
    try:
        with ExitStack() as held:
            leases: list[Lease] = []
            for _, stream in streams:
                lease = work.leases.take(stream.block_folder(number))
                if lease is None:
                    return False
                leases.append(held.enter_context(lease))
            known = rungs_of(path)
            if known >= len(work.caps):  # another worker of this run was quicker
                return True
            batches.on_halved = lambda: _say_halved([stream for _, stream in streams], batches)
            if batches.rows < batches.size:
                batches.on_halved()
            batches.open(conditions)
            shares = [
                Share(stage, stream, _task(work, stage, stream.block(number, conditions, lease)))
                for (stage, stream), lease in zip(streams, leases, strict=True)
            ]
            part = make(work, number, shares, progress)
            part |= _account(batches.paid, before, time.monotonic() - begun, path if known else None)
            collect.save(path, part)
            return True
    except LeaseLost:
        return False


def _account(paid: Paid, before: Paid, seconds: float, earlier: Path | None) -> collect.Part:
    """What a block's file cost, with what an earlier one for fewer rungs had cost."""
    known, more, memory = spent([earlier]) if earlier else (Paid(), 0.0, 0.0)
    own = {k: v - getattr(before, k) + getattr(known, k) for k, v in dataclasses.asdict(paid).items()}
    return {
        **{f"paid/{name}": np.array(value) for name, value in own.items()},
        "seconds": np.array(seconds + more),
        "memory_mb": np.array(max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, memory)),
    }


def _task(work: Work, stage: Stage, block: Block) -> Task:
    spaces = [work.study.space(condition) for condition in block.conditions]
    return Task(stage.search, spaces, block.conditions, block, work.batches, work.guiding, stage.cap, work.keep)


def _part(work: Work, number: int, shares: list[Share], progress: Progress) -> collect.Part:
    """The winners of every rung with all that metrics read of them."""
    study, first = work.study, number * work.study.block_size
    known = rungs_of(work.part(number))
    ranks = study.selector if isinstance(study.selector, RankSelector) else None
    results = []
    for share in shares:
        task, stage = share.task, share.stage
        run_block(task, progress.rows)
        rungs = {index: winners(task, cap, work.chosen(index, first), ranks) for index, cap in stage.rungs}
        finals = Finals(task, study.budget.final)
        results.append(collect.collect(task, finals, rungs, study.per_sample, first))
        sized = SearchTraits.of(stage.search).size_parameter is not None
        own = candidates_path(study.folder, number, stage.rungs[0][1] if sized else None)
        write_candidates(own, task, first)
        fresh = {index: winner for index, winner in rungs.items() if index >= known}
        write_samples(study.folder, task, finals, fresh, dict(stage.rungs), first, study.samples)
    return collect.join(results)


def _mean_score(path: Path) -> float:
    """Of the incumbents at the last rung; NaN where the file is not about winners."""
    with np.load(path) as file:
        if "rung/score" not in file.files:
            return float("nan")
    scores = collect.load(path, ["rung/index", "rung/score"])
    return float(scores["rung/score"][scores["rung/index"] == scores["rung/index"].max()].mean())


def _mark(stream: Stream) -> Path:
    return stream.folder / "halved.json"


def _say_halved(streams: Sequence[Stream], batches: Batches) -> None:
    """Notes beside the streams that results are of tier (c): equal within rounding, not bit for bit."""
    said = all(_mark(stream).exists() for stream in streams)
    for stream in streams:
        write_atomically(_mark(stream), json.dumps({"batch_size": batches.size, "rows": batches.rows}).encode())
    if not said:
        print(
            f"out of memory at {batches.size} rows: going on with {batches.rows}; results are the same within "
            "rounding (tier c), not bit for bit",
            file=sys.stderr,
            flush=True,
        )
