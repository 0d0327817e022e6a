"""Images again from their rows: one candidate of one condition, or the winners of a rung."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scaling.engine.batches import Batches
from scaling.engine.block_run import BlockRun
from scaling.engine.final_samples import final_samples, images
from scaling.engine.retention import Retention
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
    with _opened(study, run, index, number, members, _batches(study, run)) as opened:
        key = np.array([[condition % study.block_size, row]])
        if not opened.table.has("spent", key).all() or opened.table.get("t", key)[0] > 0:
            raise ValueError(
                f"candidate {row} of condition {condition} is no finished candidate of "
                f"this run; it has {opened.table.rows} within {opened.nfe} NFE"
            )
        image = next(_images(opened, key, study.budget.final))
    return png(image, max(1, 64 // image.shape[-1]))


def rung_images(study: Study, run: Path, rung: int) -> Iterator[tuple[int, np.ndarray]]:
    """The place of every condition and its winner at a rung, [3, h, w] in [0, 1]; a block is in memory at a time."""
    rows, batches = _winners(run), _batches(study, run)
    if (rung, 0) not in rows:
        raise ValueError(f"{run.name} has no rung {rung}; it has rungs 0 to {max(r for r, _ in rows)}")
    for number, members in blocks_of(study.conditions, study.block_size):
        first = number * study.block_size
        with _opened(study, run, rung, number, members, batches) as opened:
            keys = np.array([[place, rows[rung, first + place]] for place in range(len(members))])
            yield from enumerate(_images(opened, keys, study.budget.final), start=first)


def _batches(study: Study, run: Path) -> Batches:
    """At the batch shape of the run."""
    streams = json.loads((run / "environment.json").read_text())["identities"]["streams"]
    size = next(iter(streams.values()))["batch_size"]
    return Batches(study.denoiser, study.sampler, study.scored, study.extractors, size)


@contextmanager
def _opened(
    study: Study, run: Path, rung: int, number: int, members: list[Condition], batches: Batches
) -> Iterator[BlockRun]:
    """A block of the stream that the rung was read from, leased."""
    fitted = next(each for each in study.searches() if rung in [own.index for own in each.rungs])
    outputs = run.resolve().parents[len(Path(study.study).parts)]  # paper/tab01 is a study's name too
    stream = Stream(outputs / "journal", study.identity(fitted.search, batches.batch_size), study.block_size)
    encoded = batches.encode(members, number * study.block_size)
    with Leases(study.patience).wait(stream.block_folder(number)) as lease:
        block, spaces = stream.block(number, members, lease), [study.space(member) for member in members]
        guide, retention = study.name("verifier"), Retention(study.keep)
        yield BlockRun(fitted.search, spaces, block, batches, encoded, guide, fitted.nfe, retention)


def _images(opened: BlockRun, keys: np.ndarray, final_nfe: int) -> Iterator[np.ndarray]:
    column, size = final_samples(opened, keys, final_nfe).latents_column, opened.batches.batch_size
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
