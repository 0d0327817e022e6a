"""Images again from their rows: one candidate of one condition, or the winners of a rung."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scaling.engine.batches import Batches
from scaling.engine.loop import Task
from scaling.engine.winners import Finals
from scaling.journal.lease import Leases
from scaling.journal.stream import Stream, blocks_of
from scaling.output.run_folder import png
from scaling.protocols import Condition
from scaling.runner.study import Study


def regenerate(study: Study, run: Path, condition: int, candidate: int | None = None, rung: int | None = None) -> bytes:
    """The final sample of a candidate as PNG; by default the winner of the last rung.

    What the journal kept is decoded, what it dropped is solved again from its seed at the batch shape of the run, so
    the pixels are the same. ValueErrors name a condition, rung or candidate that the run does not have.
    """
    index, winner = _winner(run, condition, rung)
    row = winner if candidate is None else candidate
    number = condition // study.block_size
    members = next(members for n, members in blocks_of(study.conditions, study.block_size) if n == number)
    with _opened(study, run, index, number, members, _batches(study, run)) as task:
        key = np.array([[condition % study.block_size, row]])
        if not task.block.has("spent", key).all() or task.block.get("t", key)[0] > 0:
            raise ValueError(
                f"candidate {row} of condition {condition} is no finished candidate of "
                f"this run; it has {task.block.rows} within {task.cap} NFE"
            )
        image = next(_images(task, key, study.budget.final))
    return png(image, max(1, 64 // image.shape[-1]))


def rung_images(study: Study, run: Path, rung: int) -> Iterator[tuple[int, np.ndarray]]:
    """The place of every condition and its winner at a rung, [3, h, w] in [0, 1]; a block is in memory at a time."""
    rows, batches = _winners(run), _batches(study, run)
    if (rung, 0) not in rows:
        raise ValueError(f"{run.name} has no rung {rung}; it has rungs 0 to {max(r for r, _ in rows)}")
    for number, members in blocks_of(study.conditions, study.block_size):
        first = number * study.block_size
        with _opened(study, run, rung, number, members, batches) as task:
            keys = np.array([[place, rows[rung, first + place]] for place in range(len(members))])
            yield from enumerate(_images(task, keys, study.budget.final), start=first)


def _batches(study: Study, run: Path) -> Batches:
    """At the batch shape of the run."""
    streams = json.loads((run / "environment.json").read_text())["identities"]["streams"]
    size = next(iter(streams.values()))["batch_size"]
    return Batches(study.denoiser, study.sampler, study.scored, study.extractors, size)


@contextmanager
def _opened(
    study: Study, run: Path, rung: int, number: int, members: list[Condition], batches: Batches
) -> Iterator[Task]:
    """A block of the stream that the rung was read from, leased."""
    stage = next(stage for stage in study.stages() if rung in dict(stage.rungs))
    outputs = run.resolve().parents[len(Path(study.study).parts)]  # paper/tab01 is a study's name too
    stream = Stream(outputs / "journal", study.identity(stage.search, batches.size), study.block_size)
    batches.open(members)
    with Leases(study.patience).wait(stream.block_folder(number)) as lease:
        block, spaces = stream.block(number, members, lease), [study.space(member) for member in members]
        yield Task(stage.search, spaces, members, block, batches, study.name("verifier"), stage.cap, study.keep)


def _images(task: Task, keys: np.ndarray, final_nfe: int) -> Iterator[np.ndarray]:
    finals = Finals(task, final_nfe)
    finals.prepare(keys)
    for start in range(0, len(keys), task.batches.size):
        yield from task.batches.images(finals.latents(keys[start : start + task.batches.size]))


def _winners(run: Path) -> dict[tuple[int, int], int]:
    """The candidate that won, by rung and condition."""
    import pyarrow.parquet as pq

    table = pq.read_table(run / "winners.parquet", columns=["rung", "condition", "candidate"]).to_pydict()
    return {(r, c): k for r, c, k in zip(table["rung"], table["condition"], table["candidate"], strict=True)}


def _winner(run: Path, condition: int, rung: int | None) -> tuple[int, int]:
    """The rung's index and the candidate that won there."""
    rows = _winners(run)
    rungs, conditions = (max(each) for each in zip(*rows, strict=True))
    index = rungs if rung is None else rung
    if (index, condition) not in rows:
        raise ValueError(
            f"{run.name} has no condition {condition} at rung {index}; "
            f"it has conditions 0 to {conditions} and rungs 0 to {rungs}"
        )
    return index, rows[index, condition]
