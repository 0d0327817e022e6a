"""Which samples of the candidates a journal retains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from scaling import checks
from scaling.journal.block import Block, Keys

POLICIES = ("scores", "winners", "latents")
BYTES = 4  # of a float32


@dataclass(frozen=True)
class Retention:
    """`latents` keeps every clean sample, `winners` what was best so far for some scorer, `scores` none."""

    policy: str = "latents"

    def __post_init__(self) -> None:
        checks.one_of(POLICIES, **{"journal.retention": self.policy})

    @property
    def keeps_probes(self) -> bool:
        """Whether the predictions at a probed noise level are kept with the samples, for later verifiers."""
        return self.policy == "latents"

    def of_batch(
        self, table: Block, keys: Keys, scores: Mapping[str, np.ndarray], read_again: bool, scored: bool
    ) -> np.ndarray:
        """Which clean samples of a batch stay, [n] bool; `read_again`: the search itself asks for its samples."""
        if read_again or self.policy == "latents":
            return np.ones(len(keys), bool)
        retained = np.zeros(len(keys), bool)
        if self.policy == "scores" or not scored:
            return retained
        for column, values in scores.items():
            dense = table.dense(column, -np.inf)
            width = max(0, int(keys[:, 1].max()) + 1 - dense.shape[1])
            dense = np.pad(dense, ((0, 0), (0, width)), constant_values=-np.inf)
            dense[keys[:, 0], keys[:, 1]] = values
            retained |= best_so_far(dense)[keys[:, 0], keys[:, 1]]
        return retained

    def of_column(self, column: str, reads: Iterable[str], scores: Iterable[np.ndarray]) -> np.ndarray | bool:
        """Which entries of a journal's column stay: all, none, or those of a bool [conditions, candidates].

        Samples, and what was computed from them alone, may go; scores, charges and what the search `reads` stay.
        """
        tag, name = column.split("/", 1) if column.startswith("final") else ("", column)
        if name.partition("/")[0] not in ("latents", "probe", "features") or self.policy == "latents":
            return True
        if column == "latents" and {"x", "x0"} & set(reads):  # of a clean sample these are its latents
            return True
        if self.policy == "scores":
            return False
        best = [best_so_far(each) for each in scores]
        return bool(tag) or (np.any(best, axis=0) if best else False)


def best_so_far(scores: np.ndarray) -> np.ndarray:
    """Which rows win at some budget: the first, and whatever beats all before it; bool like `scores`, -inf = none."""
    before = np.maximum.accumulate(scores, axis=1)
    return np.pad(scores[:, 1:] > before[:, :-1], ((0, 0), (1, 0)), constant_values=True)


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
