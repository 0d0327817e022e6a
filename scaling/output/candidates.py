"""The candidates of a block as a table for people and their tools; each run writes its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scaling.engine.block_run import BlockRun
from scaling.output.tables import write_parquet
from scaling.schema import SEARCH, Candidate, names


def candidates_path(folder: Path, number: int, budget_nfe: int | None = None) -> Path:
    """Where a run keeps the candidates of a block; a search that is sized anew for a rung has a file for each."""
    rung = "" if budget_nfe is None else f"{budget_nfe}-"
    return folder / "candidates" / f"part-{rung}{number:05d}.parquet"


def write_candidates(path: Path, run: BlockRun) -> None:
    """Writes one row a candidate within the search's budget, with every score that the run asks for."""
    block, first = run.table, run.encoded.first
    keys = np.argwhere(block.dense("spent") <= run.nfe)  # NaN where there is none
    in_journal = {"parent": "parent", "round": "round", "spent_nfe": "spent", "t": "t", "cosine": "cosine"}
    values = {name: block.dense(column)[keys[:, 0], keys[:, 1]] for name, column in in_journal.items()}
    whole = {name: block.get(in_journal[name], keys).astype(np.int64) for name in ("parent", "round", "spent_nfe")}
    columns = {"condition": first + keys[:, 0], "candidate": keys[:, 1], **values, **whole}
    scores = {
        SEARCH + name: block.dense(column)[keys[:, 0], keys[:, 1]] for name, column in run.batches.score_columns.items()
    }
    write_parquet(path, {**{name: columns[name] for name in names(Candidate)}, **scores})
