"""What a run takes from each block: the winners of every rung with their costs, values and features, as one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from scaling.engine.block_run import BlockRun
from scaling.engine.final_samples import FinalSamples, rung_costs
from scaling.engine.winners import Winners
from scaling.journal.stream import write_atomically
from scaling.protocols import PerSample

COSTS = ("nfe", "forwards", "backwards", "decodes", "verifier_calls")  # of a condition, as if it were alone
Part = dict[str, np.ndarray]


def collect(run: BlockRun, finals: FinalSamples, rungs: Sequence[Winners], per_sample: Mapping[str, PerSample]) -> Part:
    """One search's share of a block's part.

    Per rung and condition ("rung/..."): the rung's index, the condition's, candidate, score, candidates, costs, and
    `slot`, the place of its final sample among the distinct ones. Per distinct sample: "value/<name>" and
    "features/<extractor>.<output>".
    """
    per_call = run.batches.denoiser.forwards_per_call
    parts: list[Part] = []
    for winners in rungs:
        slots, count = finals.slots(winners.keys), len(winners.keys)
        final_nfe = finals.nfe[slots]
        costs = rung_costs(winners.search_costs, final_nfe, per_call)
        parts.append(
            {
                "rung/index": np.full(count, winners.rung.index),
                "rung/condition": run.encoded.first + np.arange(count),
                "rung/candidate": winners.candidate_ids,
                "rung/score": winners.scores,
                "rung/candidates": winners.candidates,
                "rung/final_nfe": final_nfe,
                "rung/slot": slots,
                **{f"rung/{name}": np.array([getattr(cost, name) for cost in costs]) for name in COSTS},
            }
        )
    labels = torch.tensor([_label(run, index) for index, _ in finals.keys])
    features = finals.features
    values = {f"value/{name}": value for name, value in finals.scores.items()}
    for name, metric in per_sample.items():
        values[f"value/{name}"] = metric(torch.from_numpy(features[metric.reads]), labels).numpy()
    return {
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        **values,
        **{f"features/{name}": value for name, value in features.items()},
        "label": labels.numpy(),
    }


def _label(run: BlockRun, condition_index: int) -> int:
    label = run.conditions[condition_index].class_label
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
