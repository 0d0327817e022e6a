"""From the blocks' parts to the curve: one row per rung and metric, read rung by rung so that memory stays flat."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scaling.budget import Prices
from scaling.engine.block_run import BlockRun
from scaling.files import replacing
from scaling.journal.stream import blocks_of, write_atomically
from scaling.output.block_result import COSTS, BlockResult, load, load_values
from scaling.protocols import Condition, Conditions, Metric
from scaling.schema import SEARCH, Candidate, Point, Replicate, Winner, names
from scaling.statistics import Interval, in_range, jackknife_interval, mean_interval

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 1024  # rows that a metric is given at a time
GROUPS = 20  # of the delete-group jackknife: condition index modulo this


@dataclass(frozen=True)
class Values:
    """All that the parts say of one rung."""

    rung: dict[str, np.ndarray]  # [conditions] each
    values: dict[str, np.ndarray]  # per-sample metrics, [conditions] each


def write_curve(
    folder: Path,
    parts: Sequence[Path],
    budgets: Sequence[int],
    labels: Mapping[str, Any],
    prices: Prices,
    metrics: Mapping[str, Metric],
) -> None:
    """Writes curve.csv and replicates.parquet; fewer conditions than the jackknife's groups have no set metrics.

    `budgets` are the search NFE of every rung, `labels` what the curve calls the run's parts (`scaling.schema.LABELS`),
    `prices` are in GFLOPs.
    """
    rows: list[dict[str, Any]] = []
    replicates: list[dict[str, Any]] = []
    for index, budget in enumerate(budgets):
        rung = rung_values(parts, index)
        shared = {**labels, "rung": index, "budget_nfe": budget, **_costs(rung, prices)}
        rows += _per_sample_rows(shared, rung.values)
        if shared["conditions"] >= GROUPS:
            for name, metric in metrics.items():
                feed(metric, parts, index)
                row, without = _set_row(name, metric)
                rows.append({**shared, "metric": name, **row})
                replicates += [
                    {"rung": index, "metric": name, "group": group, "value": value}
                    for group, value in enumerate(without)
                ]
                metric.reset()
    out = StringIO()
    writer = csv.DictWriter(out, names(Point), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(row[name]) for name in names(Point)} for row in rows)
    write_parquet(folder / "replicates.parquet", {name: [row[name] for row in replicates] for name in names(Replicate)})
    write_atomically(folder / "curve.csv", out.getvalue().encode())


def _costs(rung: Values, prices: Prices) -> dict[str, Any]:
    """Means over the conditions, and how many there are."""
    cost = {name: float(rung.rung[name].mean()) for name in ("candidates", "final_nfe", *COSTS)}
    resolved = rung.rung.get("resolved_nfe", rung.rung["final_nfe"])  # blocks of earlier versions know no drafts
    return {
        **cost,
        "search_nfe": cost["nfe"] - cost["final_nfe"],
        **_gflops(prices.by_part({**cost, "resolved_nfe": float(resolved.mean())})),
        "conditions": len(rung.rung["candidates"]),
    }


def _per_sample_rows(shared: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """A row for each metric that applies to some condition; NaN: not a question of this one, e.g. another category."""
    for name, of_conditions in values.items():
        applies = of_conditions[~np.isnan(of_conditions)]
        if len(applies):
            value, low, high = mean_interval(applies, metric=name)
            interval = {"value": value, "ci_low": low, "ci_high": high, "conditions": len(applies)}
            yield {**shared, "metric": name, **interval}


def _set_row(name: str, metric: Metric) -> tuple[dict[str, float], list[float]]:
    """A metric's value with its interval, and its values without each group."""
    value = float(metric.compute())
    without = np.asarray(metric.replicates(GROUPS), dtype=np.float64)
    _, low, high = in_range(name, Interval(value, *jackknife_interval(value, without)))
    return {"value": value, "ci_low": low, "ci_high": high}, [float(each) for each in without]


def _gflops(parts: Mapping[str, float]) -> dict[str, float]:
    """The columns of a rung that say what it computes, and where."""
    columns = {f"{part}_gflops": parts[part] for part in ("decode", "verify", "encode")}
    return {"gflops": parts["solve"], **columns, "total_gflops": sum(parts.values())}


def rung_values(parts: Sequence[Path], index: int) -> Values:
    """A rung's values of all blocks, one array a column, in the conditions' order."""
    rung: dict[str, list[np.ndarray]] = {}
    values: dict[str, list[np.ndarray]] = {}
    for path in parts:
        part = load_values(path)
        at_rung = part["rung/index"] == index
        slots = part["rung/slot"][at_rung]
        for name, column in part.items():
            if name.startswith("rung/"):
                rung.setdefault(name.removeprefix("rung/"), []).append(column[at_rung])
            else:
                values.setdefault(name.removeprefix("value/"), []).append(column[slots])
    return Values(_joined(rung), _joined(values))


def feed(metric: Metric, parts: Sequence[Path], index: int) -> None:
    """Updates a metric with the final samples of one rung, in runs of fixed length whatever the blocks' size.

    So the order of additions, and with it every bit of the value, does not depend on how conditions were grouped.
    """
    column = f"features/{metric.feature}"
    waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for path in parts:
        part = load(path, ["rung/index", "rung/slot", "rung/condition", "label", column])
        at_rung = part["rung/index"] == index
        slots = part["rung/slot"][at_rung]
        waiting.append((part[column][slots], part["rung/condition"][at_rung], part["label"][slots]))
        while sum(len(rows[0]) for rows in waiting) >= CHUNK:
            whole = [np.concatenate(columns) for columns in zip(*waiting, strict=True)]
            metric.update(*(torch.from_numpy(column[:CHUNK]) for column in whole))
            waiting = [(whole[0][CHUNK:], whole[1][CHUNK:], whole[2][CHUNK:])]
    rest = [np.concatenate(columns) for columns in zip(*waiting, strict=True)]
    if rest and len(rest[0]):
        metric.update(*(torch.from_numpy(column) for column in rest))


def write_winners(
    folder: Path, parts: Sequence[Path], budgets: Sequence[int], conditions: Conditions, block_size: int, guide: str
) -> None:
    """Writes winners.parquet: who won at every rung for every condition, and what its final sample is worth.

    `guide` is the verifier whose scores the search followed.
    """
    import pyarrow.parquet as pq

    blocks = blocks_of(conditions, block_size)
    tables = (
        _winners(load(source), run, number * block_size, budgets, guide)
        for source, (number, run) in zip(parts, blocks, strict=True)
    )
    first = next(tables)
    with replacing(folder / "winners.parquet") as path, pq.ParquetWriter(path, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def _winners(
    part: BlockResult, conditions: Sequence[Condition], start: int, budgets: Sequence[int], guide: str
) -> pa.Table:
    """A block's rows; its first condition is number `start` of the study."""
    import pyarrow as pa

    at_rung = part["rung/index"] < len(budgets)  # another worker may be at a later rung already
    slots, index, condition = (part[f"rung/{name}"][at_rung] for name in ("slot", "index", "condition"))
    owners = [conditions[int(i) - start] for i in condition]
    keys = {
        "rung": index,
        "budget_nfe": np.asarray(budgets)[index],
        "condition": condition,
        "class_label": pa.array([c.class_label for c in owners], pa.int64()),
        "prompt": pa.array([c.prompt for c in owners], pa.string()),
        "copy": pa.array([c.copy for c in owners], pa.int64()),
        "candidate": part["rung/candidate"][at_rung],
    }
    return pa.table(
        {
            **{name: keys[name] for name in names(Winner)},
            SEARCH + guide: part["rung/score"][at_rung],
            **{n.removeprefix("value/"): part[n][slots] for n in part if n.startswith("value/")},
        }
    )


def write_candidates(folder: Path, number: int, run: BlockRun) -> None:
    """Writes one row a candidate of a block within the search's budget, with every score that the run asks for.

    A search that is sized anew for a rung has a file for each.
    """
    block, first = run.table, run.encoded.first
    keys = np.argwhere(block.dense("spent") <= run.fitted.nfe)  # NaN where there is none
    in_journal = {"parent": "parent", "round": "round", "spent_nfe": "spent", "t": "t", "cosine": "cosine"}
    values = {name: block.dense(column)[keys[:, 0], keys[:, 1]] for name, column in in_journal.items()}
    whole = {name: block.get(in_journal[name], keys).astype(np.int64) for name in ("parent", "round", "spent_nfe")}
    columns = {"condition": first + keys[:, 0], "candidate": keys[:, 1], **values, **whole}
    scores = {
        SEARCH + name: block.dense(column)[keys[:, 0], keys[:, 1]] for name, column in run.batches.score_columns.items()
    }
    rung = "" if run.traits.size_parameter is None else f"{run.fitted.rungs[0].nfe}-"
    path = folder / "candidates" / f"part-{rung}{number:05d}.parquet"
    write_parquet(path, {**{name: columns[name] for name in names(Candidate)}, **scores})


def write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    """Writes columns as one parquet file, at once or not at all."""
    import pyarrow as pa

    write_table(path, pa.table(dict(columns)))


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a table as one parquet file, at once or not at all."""
    import pyarrow.parquet as pq

    with replacing(path) as part:
        pq.write_table(table, part)


def _joined(columns: Mapping[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate(values) for name, values in columns.items()}


def _text(value: Any) -> Any:
    return repr(float(value)) if isinstance(value, float | np.floating) else value
