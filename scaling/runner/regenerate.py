"""An image again from its row: the run, the condition, the candidate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from scaling.journal.lease import Leases
from scaling.journal.stream import Stream, blocks_of
from scaling.runner.batches import Batches
from scaling.runner.finals import Finals
from scaling.runner.folder import png
from scaling.runner.stages import Stage
from scaling.runner.study import Study
from scaling.runner.turns import Task


def regenerate(study: Study, run: Path, condition: int, candidate: int | None = None, rung: int | None = None) -> bytes:
    """The final sample of a candidate as PNG; by default the winner of the last rung.

    What the journal kept is decoded, what it dropped is solved again from its seed at the batch shape of the run, so
    the pixels are the same. ValueErrors name a condition, rung or candidate that the run does not have.
    """
    index, winner = _winner(run, condition, rung)
    row = winner if candidate is None else candidate
    size = next(iter(json.loads((run / "environment.json").read_text())["identities"]["streams"].values()))[
        "batch_size"
    ]
    scorers = {study.name("verifier"): study.verifier, **study.scorers}
    batches = Batches(study.denoiser, study.sampler, scorers, study.extractors, size)
    stage = next(stage for stage in study.stages() if index in dict(stage.rungs))
    stream = Stream(run.parent.parent / "journal", study.identity(stage.search, size), study.block_size)
    number = condition // study.block_size
    conditions = next(members for n, members in blocks_of(study.conditions, study.block_size) if n == number)
    batches.open(conditions)
    with Leases(study.patience).wait(stream.block_folder(number)) as lease:
        spaces = [study.space(member) for member in conditions]
        block = stream.block(number, conditions, lease)
        task = Task(stage.search, spaces, conditions, block, batches, study.name("verifier"), stage.cap, study.keep)
        key = np.array([[condition % study.block_size, row]])
        if not block.has("spent", key).all() or block.get("t", key)[0] > 0:
            raise ValueError(
                f"candidate {row} of condition {condition} is no finished candidate of {_last(task, stage)}"
            )
        finals = Finals(task, study.budget.final)
        finals.prepare(key)
        image = batches.images(finals.latents(key))[0]
    return png(image, max(1, 64 // image.shape[-1]))


def _winner(run: Path, condition: int, rung: int | None) -> tuple[int, int]:
    """The rung's index and the candidate that won there."""
    import pyarrow.parquet as pq

    table = pq.read_table(run / "winners.parquet", columns=["rung", "condition", "candidate"]).to_pydict()
    rows = {(r, c): k for r, c, k in zip(table["rung"], table["condition"], table["candidate"], strict=True)}
    index = max(table["rung"]) if rung is None else rung
    if (index, condition) not in rows:
        raise ValueError(
            f"{run.name} has no condition {condition} at rung {index}; "
            f"it has conditions 0 to {max(table['condition'])} and rungs 0 to {max(table['rung'])}"
        )
    return index, rows[index, condition]


def _last(task: Task, stage: Stage) -> str:
    return f"this run; it has {task.block.rows} within {stage.cap} NFE"
