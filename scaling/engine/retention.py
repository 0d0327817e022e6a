"""Which samples of the candidates a journal keeps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

KEEP = ("scores", "winners", "latents")
BYTES = 4  # of a float32


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
