"""What a run takes from each block: the winners of every rung with their costs, values and features, as one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from scaling.budget import Cost
from scaling.engine.loop import Task
from scaling.engine.winners import Finals, Winners, block_cost, distinct
from scaling.journal.stream import write_atomically
from scaling.protocols import PerSample

COSTS = tuple(f.name for f in fields(Cost))
Part = dict[str, np.ndarray]


def collect(
    task: Task, finals: Finals, rungs: Mapping[int, Winners], per_sample: Mapping[str, PerSample], first: int
) -> Part:
    """One stage's share of a block's part.

    Per rung and condition ("rung/..."): the rung's index, the condition's, candidate, score, candidates, costs, and
    `slot`, the place of its final sample among the distinct ones. Per distinct sample: "value/<name>" and
    "features/<extractor>.<output>".
    """
    keys = distinct(list(rungs.values()))
    finals.prepare(keys)
    features = finals.features(keys)
    slots = {(int(p), int(r)): i for i, (p, r) in enumerate(keys)}
    per_call = task.batches.denoiser.forwards_per_call
    parts: list[Part] = []
    for index, rung in rungs.items():
        places = np.arange(len(rung.rows))
        final_nfe = finals.nfe(np.stack([places, rung.rows], axis=1))
        costs = block_cost(rung.search, final_nfe, per_call)
        parts.append(
            {
                "rung/index": np.full(len(places), index),
                "rung/condition": first + places,
                "rung/candidate": rung.rows,
                "rung/score": rung.scores,
                "rung/candidates": rung.candidates,
                "rung/final_nfe": final_nfe,
                "rung/slot": np.array([slots[place, int(row)] for place, row in enumerate(rung.rows)]),
                **{f"rung/{name}": np.array([getattr(cost, name) for cost in costs]) for name in COSTS},
            }
        )
    labels = torch.tensor([_label(task, place) for place, _ in keys])
    values = {f"value/{name}": value for name, value in finals.scores(keys).items()}
    for name, metric in per_sample.items():
        values[f"value/{name}"] = metric(torch.from_numpy(features[metric.reads]), labels).numpy()
    return {
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        **values,
        **{f"features/{name}": value for name, value in features.items()},
        "label": labels.numpy(),
    }


def _label(task: Task, place: int) -> int:
    label = task.conditions[place].class_label
    return -1 if label is None else label


def join(parts: Sequence[Part]) -> Part:
    """The stages of a block as one part; slots count on."""
    offset = 0
    moved: list[Part] = []
    for part in parts:
        moved.append({**part, "rung/slot": part["rung/slot"] + offset})
        offset += len(part["label"])
    return {name: np.concatenate([part[name] for part in moved]) for name in moved[0]}


def save(path: Path, part: Part) -> None:
    out = BytesIO()
    np.savez(out, **part)  # type: ignore[arg-type]
    write_atomically(path, out.getvalue())


def load(path: Path, names: Sequence[str] | None = None) -> Part:
    with np.load(path) as file:
        return {name: file[name] for name in (names or file.files)}
