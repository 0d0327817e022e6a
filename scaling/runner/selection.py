"""Selectors: who wins is decided afterwards, from what an open-loop stream recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scaling.engine.final_samples import final_samples
from scaling.engine.loop import clean
from scaling.journal.lease import Leases
from scaling.output.block_result import BlockResult, load, save
from scaling.protocols import SetSelector
from scaling.runner.blocks import LeasedBlock, block_paths, leased_blocks
from scaling.runner.resolve import ResolvedStudy


def select(study: ResolvedStudy, leases: Leases) -> np.ndarray:
    """The candidate that a selector over the whole set picks at every rung so far, int64 [rungs, conditions]."""
    selector = study.outcome.selector
    assert isinstance(selector, SetSelector)
    folder, path = study.folder / "features", study.folder / "selection.npz"
    for block in leased_blocks(study, leases, folder):
        with block:
            block.save(_features(study, block, selector))
    with leases.wait(study.folder / ".selection"):
        selected = list(load(path)["rows"]) if path.exists() else []
        if len(selected) < len(study.rungs):
            candidates = [rung.nfe // study.space.nfes_per_iter for rung in study.rungs]
            parts = block_paths(study, folder)
            features = _joined(parts, folder / "all.npy", len(study.conditions), candidates[-1])
            for count in candidates[len(selected) :]:
                selected.append(np.asarray(selector.select(features, count, list(study.conditions))))
            save(path, {"rows": np.stack(selected)})
    return np.stack(selected)


def _features(study: ResolvedStudy, block: LeasedBlock, selector: SetSelector) -> BlockResult:
    """The features of all candidates of a block, [conditions, candidates, ...]."""
    run = block.runs[0]
    block.search(run)
    run = dataclasses.replace(run, second=None)  # selected from are the search's own samples
    finals = final_samples(run, np.argwhere(clean(run, run.fitted.nfe)), study.space.nfes_per_iter)
    block.pay(finals.cost)
    if selector.feature not in finals.features:
        raise ValueError(f"the selector reads {selector.feature}; there are {', '.join(finals.features)}")
    rows = finals.features[selector.feature]
    columns = {"features": rows.reshape(len(run.conditions), -1, *rows.shape[1:])}
    return columns | {"rung/index": np.arange(len(study.rungs))}  # it answers for all of them


def _joined(parts: Sequence[Path], path: Path, count: int, candidates: int) -> np.ndarray:
    """All blocks' features as one memory-mapped array, so that a set larger than memory can be selected from."""
    out: np.ndarray | None = None
    first = 0
    for part in parts:
        block = load(part, ["features"])["features"]
        if out is None:
            out = np.lib.format.open_memmap(path, "w+", block.dtype, (count, candidates, *block.shape[2:]))
        out[first : first + len(block)] = block[:, :candidates]  # another worker may be at a later rung already
        first += len(block)
    assert out is not None
    return out
