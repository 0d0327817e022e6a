"""Drafts against full solves on clothes: GFLOPs at equal quality of the winners, and seconds by part.

python scripts/bench_drafts.py: fashion_m searches itself, by fashion_s, and by itself with TaylorSeer's extrapolation.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from bench_tools import scratch

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.models.dit import DiT
from scaling.protocols import Denoiser
from scaling.runner.study import Study
from scaling.search.random import Random
from scaling.verifiers.classifier import Classifier

CANDIDATES = [1, 2, 4, 8, 16]
CACHE = {"kind": "taylor_seer", "cache_interval": 2, "disable_cache_before_step": 2}


def main(conditions: int = 64) -> dict[str, Any]:
    """A row for each draft, none first; the last rung of each against the full search's curve."""
    drafts: dict[str, Denoiser | None] = {
        "none": None, "fashion_s": DiT(path="fashion_s"), "taylor_seer": DiT(path="fashion_m", cache=CACHE),
    }  # fmt: skip
    with scratch() as folder:
        results = {name: measured(folder / name, draft, conditions) for name, draft in drafts.items()}
    for name, said in results.items():
        said["ratio"] = said["gflops"][-1] / cost_of(said["value"][-1], results["none"])
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in said["seconds"].items())
        ranked = "" if said["draft"] is None else f", rank correlation {said['draft']['rank_correlation']:.2f}"
        print(
            f"drafts    {name:12} draft / full = {said['ratio']:.2f} GFLOPs at equal log probability of the winners "
            f"({said['value'][-1]:.2f}, {CANDIDATES[-1]} candidates){ranked}; {parts}"
        )
    return results


def cost_of(value: float, full: dict[str, Any]) -> float:
    """GFLOPs at which the full search's winners are worth so much, in between by the logarithm; at most its last."""
    return float(np.exp(np.interp(value, full["value"], np.log(full["gflops"]))))


def measured(folder: Path, draft: Denoiser | None, conditions: int) -> dict[str, Any]:
    """GFLOPs of a condition and its winner's score by rung, how well the draft ranks, and seconds by part."""
    run = scaling.run(
        Study(
            denoiser=DiT(path="fashion_m"),
            draft=draft,
            conditions=ClassLabels(count=conditions, classes=10),
            verifier=Classifier(),
            search=Random(),
            budget=Budget(nfes_per_iter=10, candidates=CANDIDATES),
            output_dir=folder,
            batch_size=32,
            samples=0,
            progress=False,
        )
    )
    with open(run / "curve.csv", newline="") as file:
        rows = [each for each in csv.DictReader(file) if each["metric"] == "classifier"]
    account = json.loads((run / "cost.json").read_text())
    seconds = account["seconds_by_part"]
    return {
        "gflops": [float(row["total_gflops"]) for row in rows],
        "value": [float(row["value"]) for row in rows],
        "draft": account["draft"],
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
