"""The candidates of a block as a table for people and their tools, once per stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scaling.engine.loop import Task
from scaling.output.tables import write_parquet


def write_candidates(path: Path, task: Task, first: int) -> None:
    """Writes one row a candidate with every score known under a name; an older table's other scores stay."""
    block = task.block
    keys = np.argwhere(~np.isnan(block.dense("spent")))
    columns: dict[str, np.ndarray] = {"condition": first + keys[:, 0], "candidate": keys[:, 1]}
    for name, column in (("parent", "parent"), ("round", "round"), ("nfe", "spent")):
        columns[name] = block.get(column, keys).astype(np.int64)
    for name in ("t", "cosine"):
        columns[name] = block.dense(name)[keys[:, 0], keys[:, 1]]
    for name, column in task.batches.score_columns.items():
        columns[name] = block.dense(column)[keys[:, 0], keys[:, 1]]
    if path.exists():
        import pyarrow.parquet as pq

        old = pq.read_table(path)
        if old.num_rows == len(keys):
            columns = {**{n: old[n].to_numpy() for n in old.column_names if n not in columns}, **columns}
            if set(columns) == set(old.column_names):
                return
    write_parquet(path, columns)
