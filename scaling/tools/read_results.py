"""What others' evaluators said of a finished run's winners, joined to its tables: as if the run had measured it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from scaling.journal.stream import write_atomically
from scaling.output.tables import write_table
from scaling.schema import SEARCH, Winner, current_names, names
from scaling.statistics import mean_interval

Values = Mapping[str, Sequence[Float[np.ndarray, " conditions"]]]  # metric: its values at every rung


def read_back(run: Path, values: Values) -> None:
    """Adds a column a metric to winners.parquet and its means with intervals to curve.csv; NaN where it does not apply.

    A score of that name is replaced. ValueErrors name a metric that the run has as something else (a key, a set
    metric), and a number of rungs or conditions that is not the run's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(run / "winners.parquet")
    rung, condition = (table[name].to_numpy() for name in ("rung", "condition"))
    rows = list(csv.DictReader((run / "curve.csv").read_text().splitlines()))
    present = dict(zip(table.column_names, current_names(Winner, table.column_names, "guide"), strict=True))
    for name, rungs in values.items():
        column = present.get(name, name)
        key = column in names(Winner) or column.startswith(SEARCH)
        if key or (name not in table.column_names and any(row["metric"] == name for row in rows)):
            raise ValueError(f"{run.name} has a {name} of its own, which is no score of single images: rename yours")
        shape = (int(rung.max()) + 1, int(condition.max()) + 1)
        if (len(rungs), *{len(each) for each in rungs}) != shape:
            raise ValueError(f"{name} has another number of rungs or conditions than {run.name}'s {shape}")
        entries = pa.array(np.stack(rungs)[rung, condition])
        if name in table.column_names:
            table = table.drop_columns(name)
        table = table.append_column(name, entries)
    write_table(run / "winners.parquet", table)
    write_atomically(run / "curve.csv", _curve(rows, values).encode())


def _curve(rows: Sequence[dict[str, Any]], values: Values) -> str:
    """The curve with the metrics' rows after all others, each at its rung's own cost."""
    shared = [row for row in rows if row["metric"] == rows[0]["metric"]]
    kept = [row for row in rows if row["metric"] not in values]
    for place, cost in enumerate(shared):
        for name, rungs in values.items():
            applies = rungs[place][~np.isnan(rungs[place])]
            if len(applies):
                mean, low, high = (repr(float(number)) for number in mean_interval(applies, metric=name))
                interval = {"value": mean, "ci_low": low, "ci_high": high, "conditions": len(applies)}
                kept.append({**cost, "metric": name, **interval})
    out = StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    return out.getvalue()
