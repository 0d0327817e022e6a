"""The winners of every rung: which they are, and what the rung's search cost by then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from scaling.budget import Cost
from scaling.engine.block_run import BlockRun
from scaling.engine.ladder import Rung
from scaling.engine.loop import clean
from scaling.journal.block import Keys
from scaling.protocols import RankSelector


@dataclass(frozen=True)
class Winners:
    """One block's incumbents at one rung, each array [conditions]."""

    rung: Rung
    candidate_ids: np.ndarray  # int64
    scores: np.ndarray  # of the guiding verifier, at search time
    candidates: np.ndarray  # scored clean ones so far
    search_costs: list[Cost]

    @property
    def keys(self) -> Keys:
        """The winners by condition and candidate, [conditions, 2]."""
        return np.stack([np.arange(len(self.candidate_ids)), self.candidate_ids], axis=1)


def pick(run: BlockRun, rung: Rung, chosen: np.ndarray | None = None, selector: RankSelector | None = None) -> Winners:
    """The best clean candidate within the rung (the first of equals), and what the search had spent by then.

    A selector over the whole set has `chosen` the candidates already; one by ranks picks here. A ValueError names a
    condition without a finished candidate.
    """
    eligible = clean(run, rung.nfe)
    scores = np.where(eligible, run.table.dense(run.columns.guide), -np.inf)
    if not eligible.any(axis=1).all():
        raise ValueError(_none_finished(run, rung, int(np.argmin(eligible.any(axis=1)))))
    candidate_ids = scores.argmax(axis=1) if chosen is None else chosen
    if selector is not None:
        candidate_ids = _picked(run, eligible, selector)
    best = scores[np.arange(len(candidate_ids)), candidate_ids]
    return Winners(rung, candidate_ids, best, eligible.sum(axis=1), search_costs(run, rung.nfe))


def search_costs(run: BlockRun, nfe: int) -> list[Cost]:
    """What the search of each condition had cost alone once it had spent so many NFE."""
    table, batches = run.table, run.batches
    inside = table.dense("spent") <= nfe
    spent = np.where(inside, table.dense("nfe", 0), 0).sum(axis=1).astype(int).tolist()
    backward = np.where(inside, table.dense("backward", 0), 0).sum(axis=1).astype(int).tolist()
    scored = (inside & (table.dense("scored", 0) > 0)).sum(axis=1).tolist()
    per_call = batches.denoiser.forwards_per_call
    images = batches.traits[run.guide].images
    return [
        Cost(
            nfe=spent[i],
            forwards=spent[i] * per_call,
            backwards=backward[i] * per_call,
            decodes=scored[i] * images,
            verifier_calls=scored[i],
        )
        for i in range(len(spent))
    ]


def distinct(rungs: Iterable[Winners]) -> Keys:
    """Every winner of a block once, by condition and candidate."""
    return np.unique(np.concatenate([winners.keys for winners in rungs]), axis=0)


def _picked(run: BlockRun, eligible: np.ndarray, selector: RankSelector) -> np.ndarray:
    columns = {name: run.table.dense(column) for name, column in run.batches.score_columns.items()}
    picked = []
    for index, mask in enumerate(eligible):
        candidate_ids = np.flatnonzero(mask)
        picked.append(
            candidate_ids[selector.pick({name: scores[index, candidate_ids] for name, scores in columns.items()})]
        )
    return np.array(picked)


def _none_finished(run: BlockRun, rung: Rung, index: int) -> str:
    """What is wrong where no candidate may win, by what the search proposed."""
    table = run.table
    inside = table.dense("spent")[index] <= rung.nfe
    scored, ended = inside & (table.dense("scored", 0)[index] > 0), table.dense("t")[index]
    text = f"a budget of {rung.nfe} NFE leaves condition {run.encoded.first + index} without a finished candidate: "
    search = run.fitted.search
    text += f"search {getattr(search, '__qualname__', type(search).__qualname__)} "
    if not inside.any():
        return text + "proposed nothing that it pays for"
    if not scored.any():
        return text + f"asked for no score of its {inside.sum()} candidates"
    lowest = f"the lowest at {ended[scored].min():g}"
    return text + f"has {scored.sum()} scored candidates, which all end above time 0, {lowest}"
