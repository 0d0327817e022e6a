"""Drafts against full solves on clothes: the cost of a search and what its winners are worth, by part.

python scripts/bench_drafts.py: fashion_m searches itself, by fashion_s, and by itself with TaylorSeer's extrapolation.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from bench_tools import scratch

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.models.dit import DiT
from scaling.protocols import Denoiser
from scaling.runner.study import Study
from scaling.search.random import Random
from scaling.verifiers.classifier import Classifier

CACHE = {"kind": "taylor_seer", "cache_interval": 2, "disable_cache_before_step": 2}


def main(conditions: int = 64, candidates: int = 16) -> dict[str, Any]:
    """A row for each draft, none first."""
    drafts: dict[str, Denoiser | None] = {
        "none": None, "fashion_s": DiT(path="fashion_s"), "taylor_seer": DiT(path="fashion_m", cache=CACHE),
    }  # fmt: skip
    with scratch() as folder:
        results = {name: measured(folder / name, draft, conditions, candidates) for name, draft in drafts.items()}
    for name, said in results.items():
        ratio = said["gflops"] / results["none"]["gflops"]
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in said["seconds"].items())
        ranked = "" if said["draft"] is None else f", rank correlation {said['draft']['rank_correlation']:.2f}"
        print(f"drafts    {name:12} GFLOPs x {ratio:.2f}, log probability {said['value']:.3f}{ranked}; {parts}")
    return results


def measured(folder: Path, draft: Denoiser | None, conditions: int, candidates: int) -> dict[str, Any]:
    """GFLOPs of a condition, its winner's score, how well the draft ranks, and seconds by part."""
    run = scaling.run(
        Study(
            denoiser=DiT(path="fashion_m"),
            draft=draft,
            conditions=ClassLabels(count=conditions, classes=10),
            verifier=Classifier(),
            search=Random(),
            budget=Budget(nfes_per_iter=10, candidates=[candidates]),
            output_dir=folder,
            batch_size=32,
            samples=0,
            progress=False,
        )
    )
    with open(run / "curve.csv", newline="") as file:
        row = next(each for each in csv.DictReader(file) if each["metric"] == "classifier")
    account = json.loads((run / "cost.json").read_text())
    seconds = account["seconds_by_part"]
    return {
        "gflops": float(row["total_gflops"]),
        "value": float(row["value"]),
        "draft": account["draft"],
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
