"""What a run takes from each block: the winners of every rung with their costs, values and features, as one file."""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import read_array

from scaling.engine.block_run import BlockRun
from scaling.engine.checks import metric_values
from scaling.engine.final_samples import FinalSamples, rung_costs
from scaling.engine.winners import Winners
from scaling.files import Damaged
from scaling.journal.stream import write_atomically
from scaling.protocols import PerSample

COSTS = ("nfe", "forwards", "backwards", "decodes", "verifier_calls")  # of a condition, as if it were alone
BlockResult = dict[str, np.ndarray]


def collect(
    run: BlockRun, finals: FinalSamples, rungs: Sequence[Winners], per_sample: Mapping[str, PerSample]
) -> BlockResult:
    """What one search adds to a block's result.

    Per rung and condition ("rung/..."): the rung's index, the condition's, candidate, score, candidates, costs, and
    `slot`, the place of its final sample among the distinct ones. Per distinct sample: "value/<name>" and
    "features/<extractor>.<output>".
    """
    parts: list[BlockResult] = []
    for winners in rungs:
        slots, count = finals.slots(winners.keys), len(winners.keys)
        final_nfe, draft_nfe = finals.nfe[slots], finals.draft_nfe[slots]
        costs = rung_costs(run, winners.search_costs, final_nfe, draft_nfe)
        parts.append(
            {
                "rung/index": np.full(count, winners.rung.index),
                "rung/condition": run.encoded.first + np.arange(count),
                "rung/candidate": winners.candidate_ids,
                "rung/score": winners.scores,
                "rung/candidates": winners.candidates,
                "rung/final_nfe": final_nfe,
                "rung/resolved_nfe": final_nfe - draft_nfe,
                "rung/slot": slots,
                **{f"rung/{name}": np.array([getattr(cost, name) for cost in costs]) for name in COSTS},
            }
        )
    labels = torch.tensor([_label(run, index) for index, _ in finals.keys])
    features = finals.features
    values = {f"value/{name}": value for name, value in finals.scores.items()}
    where = f"conditions {run.encoded.first} to {run.encoded.first + len(run.conditions) - 1}"
    for name, metric in per_sample.items():
        if metric.feature not in features:
            known = ", ".join(features) or "none"
            raise ValueError(f"metric {name} reads {metric.feature}, which no extractor gives; there are {known}")
        answer = metric(torch.from_numpy(features[metric.feature]), labels)
        values[f"value/{name}"] = metric_values(name, answer, len(labels), where)
    return {
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        **values,
        **{f"features/{name}": value for name, value in features.items()},
        "label": labels.numpy(),
    }


def _label(run: BlockRun, condition_index: int) -> int:
    label = run.conditions[condition_index].class_label
    return -1 if label is None else label


def join(parts: Sequence[BlockResult]) -> BlockResult:
    """The results of a block's searches as one; slots count on."""
    offset = 0
    moved: list[BlockResult] = []
    for part in parts:
        moved.append({**part, "rung/slot": part["rung/slot"] + offset})
        offset += len(part["label"])
    return {name: np.concatenate([part[name] for part in moved]) for name in moved[0]}


def save(path: Path, part: BlockResult) -> None:
    """Writes a block's results as one npz file, at once or not at all."""
    out = BytesIO()
    np.savez(out, **part)  # type: ignore[arg-type]
    write_atomically(path, out.getvalue())


def load(path: Path, names: Sequence[str] | None = None) -> BlockResult:
    """Some arrays of a file (None: all); a `Damaged` where it is not what was written, to the bit."""
    wanted = arrays_in(path) if names is None else names
    with _opened(path) as file:
        data = {name: BytesIO(file.read(f"{name}.npy")) for name in wanted}  # which checks their sums
        return {name: read_array(raw, allow_pickle=False) for name, raw in data.items()}


def load_values(path: Path) -> BlockResult:
    """A block's rungs and per-sample values, without the features that set metrics read, which may be large."""
    return load(path, [name for name in arrays_in(path) if name.startswith(("rung/", "value/"))])


def arrays_in(path: Path) -> list[str]:
    """The names of a file's arrays."""
    with _opened(path) as file:
        return [name.removesuffix(".npy") for name in file.namelist()]


def holds(path: Path, flag: str) -> bool:
    """Whether a block's file has this flag set."""
    return flag in arrays_in(path) and bool(load(path, [flag])[flag])


def rungs_in(path: Path) -> int:
    """For how many rungs of the ladder a block's file answers; 0 where there is none."""
    if not path.exists():
        return 0
    return 1 + int(load(path, ["rung/index"])["rung/index"].max())


def draft_ranks(paths: Sequence[Path], guide: str) -> dict[str, float] | None:
    """How the search's scores of distinct winners rank against those of their second solves; None without those."""
    from scipy.stats import spearmanr

    found: dict[tuple[int, int], tuple[float, float]] = {}
    for path in paths:
        part = load_values(path)
        again = part["rung/final_nfe"] > 0
        final_scores = part[f"value/{guide}"][part["rung/slot"]]
        columns = (part["rung/condition"], part["rung/candidate"], part["rung/score"], final_scores)
        for condition, candidate, draft, final in zip(*(each[again].tolist() for each in columns), strict=True):
            found[condition, candidate] = draft, final
    if len(found) < 2:
        return None
    ranked = spearmanr(*zip(*found.values(), strict=True)).statistic
    return {"rank_correlation": float(ranked), "winners": len(found)}


def mean_score(path: Path) -> float:
    """Of the incumbents at the last rung; NaN where the file is not about winners."""
    if "rung/score" not in arrays_in(path):
        return float("nan")
    found = load(path, ["rung/index", "rung/score"])
    return float(found["rung/score"][found["rung/index"] == found["rung/index"].max()].mean())


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except (ValueError, KeyError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error) as error:
        raise Damaged(path, error) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the file's beginning, where its directory points to
            raise
        raise Damaged(path, error) from None
