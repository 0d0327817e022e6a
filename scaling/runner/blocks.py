"""The blocks of a run, shared out by leases: take what is free, come back for what others compute, read what they did."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scaling.journal.lease import Lease, LeaseLost, Leases
from scaling.journal.stream import Stream, blocks_of, write_atomically
from scaling.protocols import Condition
from scaling.runner import collect
from scaling.runner.batches import Batches, Paid
from scaling.runner.candidates import write_candidates
from scaling.runner.finals import Finals, winners
from scaling.runner.progress import Progress
from scaling.runner.samples import write_samples
from scaling.runner.stages import Stage
from scaling.runner.stop import check_stop
from scaling.runner.turns import Task, run_block

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

    @property
    def streams(self) -> list[tuple[Stage, Stream]]:
        study = self.study
        identities = [(stage, study.identity(stage.search, self.batches.size)) for stage in study.stages()]
        return [(stage, Stream(self.journal, identity, study.block_size)) for stage, identity in identities]

    def part(self, number: int) -> Path:
        return self.study.folder / "blocks" / f"{number:05d}.npz"


def run_blocks(work: Work) -> list[Path]:
    """Sees to it that every block of the run has its part, computed here or by another worker."""
    study, streams = work.study, work.streams
    left = dict(blocks_of(study.conditions, study.block_size))
    paths = [work.part(number) for number in left]
    pause = PAUSE[0]
    with Progress(study.run, len(study.conditions), study.progress) as progress:
        while left:
            before = len(left)
            for number, conditions in list(left.items()):
                there = work.part(number).exists()
                if there or _compute(work, streams, number, conditions, progress):
                    progress.block(len(left.pop(number)), _mean_score(work.part(number)), not there)
            check_stop()
            pause = PAUSE[0] if len(left) < before else min(2 * pause, PAUSE[1], work.leases.patience / 10)
            if left:
                time.sleep(pause)
    return paths


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
    progress: Progress,
) -> bool:
    """Makes a block's part under the leases of its streams; False while another process holds one of them."""
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
            if work.part(number).exists():  # another worker of this run was quicker
                return True
            batches.on_halved = lambda: _say_halved([stream for _, stream in streams], batches)
            if batches.shape < batches.size:
                batches.on_halved()
            batches.open(conditions)
            results = [
                _run_stage(work, stage, stream, number, conditions, lease, progress, len(streams) > 1)
                for (stage, stream), lease in zip(streams, leases, strict=True)
            ]
            part = collect.join(results)
            paid = {k: v - getattr(before, k) for k, v in dataclasses.asdict(batches.paid).items()}
            part |= {f"paid/{name}": np.array(value) for name, value in paid.items()}
            part["seconds"] = np.array(time.monotonic() - begun)
            part["memory_mb"] = np.array(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            collect.save(work.part(number), part)
            return True
    except LeaseLost:
        return False


def _run_stage(
    work: Work,
    stage: Stage,
    stream: Stream,
    number: int,
    conditions: list[Condition],
    lease: Lease,
    progress: Progress,
    several: bool,
) -> collect.Part:
    study, batches = work.study, work.batches
    block = stream.block(number, conditions, lease)
    spaces = [study.space(condition) for condition in conditions]
    task = Task(stage.search, spaces, conditions, block, batches, work.guiding, stage.cap, work.keep)
    run_block(task, progress.rows)
    rungs = {index: winners(task, cap) for index, cap in stage.rungs}
    finals = Finals(task, study.budget.final)
    first = number * study.block_size
    part = collect.collect(task, finals, rungs, study.per_sample, first)
    write_candidates(stream.candidates_path(number), task, first)
    _link(study.folder / "candidates", stream, number, stage if several else None)
    write_samples(study.folder, task, finals, rungs, dict(stage.rungs), first, study.samples)
    return part


def _link(folder: Path, stream: Stream, number: int, stage: Stage | None) -> None:
    """The stream's candidates as part of this run, without a second copy."""
    folder.mkdir(exist_ok=True)
    rung = "" if stage is None else f"{stage.cap}-"
    link = folder / f"part-{rung}{number:05d}.parquet"
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(stream.candidates_path(number), folder))


def _mean_score(path: Path) -> float:
    scores = collect.load(path, ["rung/index", "rung/score"])
    return float(scores["rung/score"][scores["rung/index"] == scores["rung/index"].max()].mean())


def _mark(stream: Stream) -> Path:
    return stream.folder / "halved.json"


def _say_halved(streams: Sequence[Stream], batches: Batches) -> None:
    """Notes beside the streams that results are of tier (c): equal within rounding, not bit for bit."""
    said = all(_mark(stream).exists() for stream in streams)
    for stream in streams:
        write_atomically(_mark(stream), json.dumps({"batch_size": batches.size, "rows": batches.shape}).encode())
    if not said:
        print(
            f"out of memory at {batches.size} rows: going on with {batches.shape}; results are the same within "
            "rounding (tier c), not bit for bit",
            file=sys.stderr,
            flush=True,
        )
