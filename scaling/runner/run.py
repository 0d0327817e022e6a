"""Runs a study to its end: the gate, the blocks of every rung, the curve."""

from __future__ import annotations

import dataclasses
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from scaling.engine.batch_size import batch_shape
from scaling.engine.batches import Batches
from scaling.engine.ladder import rungs_of, tops
from scaling.engine.retention import Retention
from scaling.journal.lease import Leases
from scaling.output import tables as curve
from scaling.output.run_folder import environment, write_json
from scaling.protocols import SearchTraits, SetSelector
from scaling.runner.blocks import Work, reduced, run_blocks, spent
from scaling.runner.claim import claim, recorded_batch
from scaling.runner.gate import calibrate
from scaling.runner.heartbeat import at_work
from scaling.runner.progress import Waiting, print_error
from scaling.runner.resolve import what_to_keep
from scaling.runner.selection import select
from scaling.runner.study import Study


def execute(study: Study, renew: bool = False) -> Path:
    """Runs a study to its end and returns its folder; what is already there is read, not computed again.

    Any number of processes may do so at once, on machines that share the folder: blocks go to who is free, and one
    process does the last steps. Where the folder holds results that other parts made, a ValueError names the
    differences; with `renew` those results are made anew.
    """
    if prepare := getattr(study.denoiser, "prepare", None):  # text encoders are loaded once a study, then freed
        prepare(list(study.conditions))
    calibrate(study, partial(execute, renew=True))
    journal = Path(study.output_dir) / "journal"
    leases = Leases(study.patience, on_wait=Waiting(study.run, study.progress))
    size = study.batch_size or recorded_batch(study.folder) or _batch_shape(study, journal, leases)
    probe = study.probe if SearchTraits.of(study.search).open_loop else None
    batches = Batches(study.denoiser, study.sampler, study.scored, study.extractors, size, probe)
    identities = {**study.identities(size), "judges": study.judges()}
    with leases.wait(study.folder / ".claim"):
        said = environment(study.denoiser.device, identities)
        claim(study.folder, {**said, "caps": [rung.nfe for rung in rungs_of(study.searches())]}, renew)
    keep, why = what_to_keep(study)
    if why and study.progress:
        print_error(why)
    with at_work(study.folder, study.patience):
        searches = study.searches()
        for top in tops(searches, study.order):
            _climb(Work(study, batches, journal, study.name("verifier"), Retention(keep), leases, searches, top))
    return study.folder


def _climb(work: Work) -> None:
    """All conditions up to the last rung of the work's ladder, and their curve."""
    folder = work.study.folder
    if isinstance(work.study.selector, SetSelector):
        work = dataclasses.replace(work, selection=select(work))
    parts = run_blocks(work)
    with work.leases.wait(folder / ".last"):
        if not is_done(folder) and _account(folder).get("rungs", 0) < work.top:
            _finish(work, parts)


def is_done(folder: Path) -> bool:
    """Whether a run's folder is complete."""
    return bool(_account(folder).get("done"))


def _account(folder: Path) -> dict[str, Any]:
    """What the folder says of the last curve that was written: nothing before the first."""
    path = folder / "cost.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _batch_shape(study: Study, journal: Path, leases: Leases) -> int:
    """One process measures and all take its answer, since results are equal only at one shape."""
    with leases.wait(journal / "shapes"):
        kept = journal / "batch_shapes.json"
        return batch_shape(study.denoiser, next(iter(study.conditions)), kept, study.block_size)


def _finish(work: Work, parts: list[Path]) -> None:
    """What needs all blocks: winners, metrics over the set, the account."""
    begun, study = time.monotonic(), work.study
    caps = [rung.nfe for rung in work.rungs]
    labels = {
        "model": study.name("model"),
        "verifier": work.guiding if study.selector is None else study.name("selector"),
        "search": study.name("search"),
        "guidance_scale": study.denoiser.guidance_scale,
        "seed": study.seed,
    }
    curve.write_winners(study.folder, parts, caps, study.conditions, study.block_size, work.guiding)
    curve.write_curve(study.folder, parts, caps, labels, study.denoiser.gflops(), study.metrics)
    paid, seconds, memory = spent([*parts, *sorted((study.folder / "features").glob("*.npz"))])
    cost = {
        "done": work.rungs == rungs_of(work.searches),
        "rungs": len(caps),
        "seconds": seconds + time.monotonic() - begun,  # of all workers together
        "paid": dataclasses.asdict(paid),
        "peak_memory_mb": memory,
        "conditions": len(study.conditions),
        "tier": "c" if reduced(work.streams, parts) else "b",  # c: equal within rounding, some batches were smaller
    }
    write_json(study.folder / "cost.json", cost)
