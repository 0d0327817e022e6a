"""Runs a study to its end: the gate, the blocks of every rung, the curve."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np

from scaling.budget import Prices
from scaling.engine.batch_size import measured_batch
from scaling.engine.batches import Batches
from scaling.engine.prices import gflops_of, seconds_of
from scaling.files import Damaged, read_json
from scaling.identity import identity_of
from scaling.journal.lease import Leases
from scaling.journal.stream import digest
from scaling.loading.devices import device_name
from scaling.output import tables
from scaling.output.block_result import draft_ranks
from scaling.output.run_folder import account, environment, is_done, write_json
from scaling.protocols import SetSelector
from scaling.runner.blocks import reduced, run_blocks
from scaling.runner.claim import claim, recorded_batch
from scaling.runner.claim import recorded as recorded_run
from scaling.runner.gate import check_gate, gate_of
from scaling.runner.heartbeat import heartbeat
from scaling.runner.identities import run_identities
from scaling.runner.mend import discard, mend, paid_for
from scaling.runner.progress import Waiting, print_error
from scaling.runner.resolve import ResolvedStudy, resolve, retention_of
from scaling.runner.selection import select
from scaling.runner.study import Study


def execute(study: Study, renew: bool = False) -> Path:
    """Runs a study to its end and returns its folder; what is already there is read, not computed again.

    Any number of processes may do so at once, on machines that share the folder: blocks go to who is free, and one
    process does the last steps. Where the folder holds results that other parts made, a ValueError names the
    differences; with `renew` those results are made anew.
    """
    start = time.monotonic()
    for model in {id(each): each for each in (study.searcher, study.denoiser)}.values():
        if prepare := getattr(model, "prepare", None):  # text encoders are loaded once a study, then freed
            prepare(list(study.conditions))
    prepared = time.monotonic() - start
    for judge in study.scored.values():
        if count := getattr(judge, "notice_cut_prompts", None):  # the journal may hold all its scores
            count(list(study.conditions))
    leases = Leases(study.patience, on_wait=Waiting(study.run, study.progress))
    size = study.batch_size or _begun_batch(study) or _measured_batch(study, leases)
    if study.budget.unit == "seconds" and study.seconds is None:
        study = dataclasses.replace(study, seconds=_measured_seconds(study, size, leases))
    resolved = resolve(study, size, prepared)  # which refuses a ladder in seconds that buys nothing
    if gate := gate_of(study):
        check_gate(study, gate, execute(gate, renew=True))
    elif study.calibration is not None and study.progress:
        print_error(f"not calibrated: no value is known at guidance scale {study.denoiser.guidance_scale:g}")
    with leases.wait(study.folder / ".claim"):
        mend(study.folder, Path(study.output_dir) / "journal")
        identities = run_identities(study, [(stream.fitted, stream.identity) for stream in resolved.streams])
        description = environment(study.denoiser.device, identities)
        prices = {"prices": dataclasses.asdict(study.seconds)} if study.seconds is not None else {}
        claim(study.folder, {**description, "caps": [rung.nfe for rung in resolved.rungs], **prices}, renew)
    if (why := retention_of(study)[1]) and study.progress:
        print_error(why)
    with heartbeat(study.folder, study.patience):
        count = len(resolved.rungs)
        if study.order == "conditions":
            _run_rungs(resolved, leases)
        else:
            for rungs in range(1, count + 1):
                _run_rungs(resolved.up_to(rungs), leases, is_last=rungs == count)
    return study.folder


def _begun_batch(study: Study) -> int | None:
    """That of the results that the folder has, on whatever device they were begun."""
    size, device = recorded_batch(study.folder), device_name(study.searcher.device)
    if size and study.progress and not is_done(study.folder):
        print_error(f"batches of {size} rows, as this run was begun with, here on {device}")
    return size


def _measured_batch(study: Study, leases: Leases) -> int:
    """One process measures and all take its answer, since results are equal only at one size."""
    journal = Path(study.output_dir) / "journal"
    with leases.wait(journal / "shapes"):
        kept = journal / "batch_shapes.json"
        batch = measured_batch(study.searcher, next(iter(study.conditions)), kept, study.block_size)
    if study.progress:
        print_error(
            f"batches of {batch.batch_size} rows, as measured {batch.measured} on {batch.device}; to measure again: "
            f"rm {kept}"
        )
    return batch.batch_size


def _measured_seconds(study: Study, size: int, leases: Leases) -> Prices:
    """What the run was priced with; else what was once measured for these parts on this kind of device, or is now."""
    if recorded := (recorded_run(study.folder) or {}).get("prices"):
        return Prices(**recorded)
    parts = {"searcher": study.searcher, "verifier": study.verifier, "conditions": study.conditions}
    identities = {name: identity_of(part) for name, part in parts.items()}
    key = digest({**identities, "device": device_name(study.searcher.device), "batch_size": size})
    path = Path(study.output_dir) / "journal" / "prices.json"
    with leases.wait(path.parent / "shapes"):
        known = read_json(path)
        if key not in known:
            first, guide = next(iter(study.conditions)), study.name("verifier")
            batches = Batches(study.searcher, study.sampler, {guide: study.verifier}, {}, size)
            known[key] = dataclasses.asdict(seconds_of(batches, first, study.space(first)))
            write_json(path, known)
    return Prices(**known[key])


def _run_rungs(study: ResolvedStudy, leases: Leases, is_last: bool = True) -> None:
    """All conditions up to the study's last rung, and their curve; the run's own files that are damaged are made anew.

    A `Damaged` where one is so again.
    """
    discarded: set[Path] = set()
    while True:
        try:
            return _try_rungs(study, leases, is_last)
        except Damaged as damaged:
            if damaged.path in discarded:
                raise
            discarded.add(damaged.path)
            with leases.wait(study.folder / ".last"):
                discard(study.folder, damaged)


def _try_rungs(study: ResolvedStudy, leases: Leases, is_last: bool) -> None:
    selection: np.ndarray | None = None
    if isinstance(study.outcome.selector, SetSelector):
        selection = select(study, leases)
    parts = run_blocks(study, leases, selection)
    with leases.wait(study.folder / ".last"):
        if not is_done(study.folder) and account(study.folder).get("rungs", 0) < len(study.rungs):
            _finish(study, parts, is_last)


def _finish(study: ResolvedStudy, parts: list[Path], is_last: bool) -> None:
    """What needs all blocks: winners, metrics over the set, the account."""
    start, folder, outcome = time.monotonic(), study.folder, study.outcome
    nfes = [rung.nfe for rung in study.rungs]
    tables.write_winners(folder, parts, nfes, study.conditions, study.journal.block_size, outcome.guide)
    tables.write_curve(folder, parts, nfes, outcome.labels, prices_of(study), outcome.metrics)
    paid = paid_for(folder)
    cost = {
        "done": is_last,
        "rungs": len(nfes),
        "seconds": paid.seconds + time.monotonic() - start,  # of all workers together
        "paid": paid.cost.counts,
        "seconds_by_part": paid.cost.seconds,
        "peak_memory_mb": paid.memory_mb,
        "peak_device_memory_mb": paid.device_mb,
        "draft": draft_ranks(parts, outcome.guide),
        "conditions": len(study.conditions),
        "bitwise": not reduced(study, parts),  # else equal within rounding, since some batches were smaller
    }
    write_json(folder / "cost.json", cost)


def prices_of(study: ResolvedStudy) -> Prices:
    """What the parts of a study cost, in GFLOPs."""
    searcher, second = study.batches.denoiser, study.outcome.second
    denoiser = searcher if second is None else second.batches.denoiser
    guide, first = study.batches.scorers[study.outcome.guide], next(iter(study.conditions))
    return gflops_of(searcher, denoiser, guide, first, study.space.nfes_per_iter, study.outcome.final_nfe)
