"""Images again from their rows: one candidate of one condition, or the winners of a rung."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from scaling.engine.block_run import BlockRun
from scaling.engine.final_samples import final_samples, images
from scaling.journal.lease import Leases
from scaling.journal.stream import blocks_of
from scaling.output.run_folder import outputs_of
from scaling.pixels import png
from scaling.protocols import Condition
from scaling.runner.claim import recorded_batch
from scaling.runner.resolve import ResolvedStudy, resolve
from scaling.runner.study import Study


def regenerate(study: Study, run: Path, condition: int, candidate: int | None = None, rung: int | None = None) -> bytes:
    """The final sample of a candidate as PNG; by default the winner of the last rung.

    What the journal kept is decoded, what it dropped is solved again from its seed at the batch shape of the run, so
    the pixels are the same. ValueErrors name a condition, rung or candidate that the run does not have.
    """
    index, winner = _winner(run, condition, rung)
    candidate_id = winner if candidate is None else candidate
    number = condition // study.block_size
    members = next(members for n, members in blocks_of(study.conditions, study.block_size) if n == number)
    resolved = _resolved(study, run)
    with _opened(resolved, index, number, members, study.patience) as opened:
        key = np.array([[condition % study.block_size, candidate_id]])
        if not opened.table.has("spent", key).all() or opened.table.get("t", key)[0] > 0:
            raise ValueError(
                f"candidate {candidate_id} of condition {condition} is no finished candidate of "
                f"this run; it has {opened.table.rows} within {opened.fitted.nfe} NFE"
            )
        image = next(_images(opened, key, resolved.outcome.final_nfe))
    return png(torch.from_numpy(image), max(1, 64 // image.shape[-1]))


def rung_images(study: Study, run: Path, rung: int) -> Iterator[tuple[int, np.ndarray]]:
    """The place of every condition and its winner at a rung, [3, h, w] in [0, 1]; a block is in memory at a time."""
    candidate_ids, resolved = _winners(run), _resolved(study, run)
    if (rung, 0) not in candidate_ids:
        raise ValueError(f"{run.name} has no rung {rung}; it has rungs 0 to {max(r for r, _ in candidate_ids)}")
    for number, members in blocks_of(study.conditions, study.block_size):
        first = number * study.block_size
        with _opened(resolved, rung, number, members, study.patience) as opened:
            keys = np.array([[index, candidate_ids[rung, first + index]] for index in range(len(members))])
            yield from enumerate(_images(opened, keys, resolved.outcome.final_nfe), start=first)


def _resolved(study: Study, run: Path) -> ResolvedStudy:
    """The study as it was run, at the batch size of its folder and beside that."""
    return resolve(dataclasses.replace(study, output_dir=outputs_of(run, study.study)), recorded_batch(run))


@contextmanager
def _opened(
    study: ResolvedStudy, rung: int, number: int, members: list[Condition], patience: float
) -> Iterator[BlockRun]:
    """A block of the stream that the rung was read from, leased."""
    streams = study.open_streams()
    fitted, stream = next(each for each in streams if rung in {answered.index for answered in each[0].rungs})
    with Leases(patience).wait(stream.block_folder(number)) as lease:
        (run,) = study.block_runs(number, members, [(fitted, stream.block(number, members, lease))])
        yield run


def _images(opened: BlockRun, keys: np.ndarray, final_nfe: int) -> Iterator[np.ndarray]:
    column, size = final_samples(opened, keys, final_nfe).latents_column, opened.final.batches.batch_size
    for start in range(0, len(keys), size):
        yield from images(opened, keys[start : start + size], column)["images"]


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
