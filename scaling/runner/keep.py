"""How much of the candidates to keep: what that takes on disk, said beforehand, and less where it is too much."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scaling.runner.study import Study

KEEP = ("scores", "winners", "latents")
BYTES = 4  # of a float32


def latents_bytes(study: Study) -> int:
    """An upper estimate of what the clean latents of all candidates take, with the predictions for later verifiers."""
    candidates = sum(stage.cap for stage in study.stages()) // study.budget.nfes_per_iter
    views = 2 if study.probe is not None and getattr(study.search, "open_loop", False) else 1
    return len(study.conditions) * candidates * views * math.prod(study.denoiser.latent_shape) * BYTES


def what_to_keep(study: Study) -> tuple[str, str]:
    """What the journal keeps, and a line on what that takes; `winners` where all latents would pass the limit."""
    needed = latents_bytes(study)
    if getattr(study.search, "reads", {"x", "x0"}) & {"x", "x0"}:
        return study.keep, f"the search reads its candidates again: the journal grows by up to {size(needed)}"
    if study.keep != "latents":
        return study.keep, ""
    if needed <= study.limit:
        return "latents", f"all candidates are kept for later verifiers: up to {size(needed)}"
    return (
        "winners",
        f"all candidates would take {size(needed)}, more than journal.limit_gb={study.limit / 1e9:g}: only winners are "
        "kept, so a later verifier has to denoise again; list it as a scorer now, or raise the limit",
    )


def best_so_far(scores: np.ndarray) -> np.ndarray:
    """Which rows win at some budget: the first, and whatever beats all before it; bool like `scores`, -inf = none."""
    before = np.maximum.accumulate(scores, axis=1)
    return np.pad(scores[:, 1:] > before[:, :-1], ((0, 0), (1, 0)), constant_values=True)


def stays(column: str, keep: str, reads: Iterable[str], scores: Iterable[np.ndarray]) -> np.ndarray | bool:
    """Which entries of a journal's column `keep` leaves there: all, none, or those of a bool [conditions, rows].

    Samples, and what was computed from them alone, may go; scores, charges and what the search `reads` stay.
    """
    tag, name = column.split("/", 1) if column.startswith("final") else ("", column)
    if name.partition("/")[0] not in ("latents", "probe", "features") or keep == "latents":
        return True
    if column == "latents" and {"x", "x0"} & set(reads):  # of a clean sample these are its latents
        return True
    if keep == "scores":
        return False
    best = [best_so_far(each) for each in scores]
    return bool(tag) or (np.any(best, axis=0) if best else False)


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
