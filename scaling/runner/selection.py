"""Selectors: who wins is decided afterwards, from what an open-loop stream recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scaling.budget import Cost
from scaling.engine.final_samples import final_samples
from scaling.engine.loop import clean
from scaling.output import block_result as collect
from scaling.protocols import SetSelector
from scaling.runner.blocks import Share, Work, computed, visit
from scaling.runner.progress import Progress


def select(work: Work) -> np.ndarray:
    """The candidate that a selector over the whole set picks at every rung so far, int64 [rungs, conditions]."""
    study, selector = work.study, work.study.selector
    assert isinstance(selector, SetSelector)
    kept = study.folder / "selection.npz"
    parts = visit(work, lambda number: study.folder / "features" / f"{number:05d}.npz", _features)
    with work.leases.wait(study.folder / ".selection"):
        known = list(collect.load(kept)["rows"]) if kept.exists() else []
        if len(known) < work.top:
            candidates = [rung.nfe // study.budget.nfes_per_iter for rung in work.rungs]
            features = _joined(parts, study.folder / "features" / "all.npy", len(study.conditions), candidates[-1])
            known += [np.asarray(selector.select(features, count)) for count in candidates[len(known) :]]
            collect.save(kept, {"rows": np.stack(known)})
    return np.stack(known)


def _features(work: Work, number: int, shares: list[Share], progress: Progress) -> tuple[collect.Part, Cost]:
    """The features of all candidates of a block, [conditions, candidates, d]."""
    selector, run = work.study.selector, shares[0].run
    assert isinstance(selector, SetSelector)
    cost = computed(shares[0], progress, Cost())
    finals = final_samples(run, np.argwhere(clean(run, run.nfe)), work.study.budget.nfes_per_iter)
    features = finals.features
    if selector.reads not in features:
        raise ValueError(f"the selector reads {selector.reads}; there are {', '.join(features)}")
    rows = features[selector.reads]
    columns = {"features": rows.reshape(len(run.conditions), -1, rows.shape[1])}
    return columns | {"rung/index": np.arange(work.top)}, cost + finals.cost  # it answers for all of them


def _joined(parts: list[Path], path: Path, count: int, candidates: int) -> np.ndarray:
    """All blocks' features as one memory-mapped array, so that a set larger than memory can be selected from."""
    out: np.ndarray | None = None
    first = 0
    for part in parts:
        block = collect.load(part, ["features"])["features"]
        if out is None:
            out = np.lib.format.open_memmap(path, "w+", block.dtype, (count, candidates, block.shape[2]))
        out[first : first + len(block)] = block[:, :candidates]  # another worker may be at a later rung already
        first += len(block)
    assert out is not None
    return out
