"""One grid of verifiers and budgets against a run of its own for each: NFE and time (see also bench_sharing.py)."""

from __future__ import annotations

import io
import json
import statistics
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import bench_sharing
from bench_tools import scratch

LADDER = [1, 2, 4, 8, 16, 32, 64, 128]
VERIFIERS = ["classifier", "oracle", "self_supervised", "control"]
CONDITIONS = 32


def main() -> dict[str, Any]:
    results: dict[str, Any] = {}
    with scratch() as folder:
        common = ["model=fashion_s", f"conditions.count={CONDITIONS}", "samples=0"]
        run(folder / "warm", *common, "budget.candidates=1")
        shapes = json.loads((folder / "warm" / "journal" / "batch_shapes.json").read_text())
        common.append(f"batch_size={next(iter(shapes.values()))['batch_size']}")
        run(folder / "warmer", "-m", *common, f"verifier={','.join(VERIFIERS)}", "budget.candidates=1")
        for search, verifiers in (("random", VERIFIERS), ("zero_order", VERIFIERS[:1])):
            results[search] = said = grid(folder / search, [*common, f"search={search}"], verifiers)
            print(
                f"sharing   {search:10} apart / shared = {said['ratio']['nfe']:.2f} NFE, {said['ratio']['wall']:.2f} "
                f"wall, {said['ratio']['cpu']:.2f} CPU ({len(verifiers)} verifiers, {len(LADDER)} budgets)"
            )
    return results


def run(folder: Path, *overrides: str) -> dict[str, float]:
    """One command, without its tables."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metrics on few conditions: nobody reads them here
        return bench_sharing.run(folder, *overrides)


def grid(folder: Path, common: list[str], verifiers: list[str]) -> dict[str, Any]:
    """The grid anew before, between and after the runs apart, the median counting: the machine's speed drifts."""
    grids = ["-m", *common, f"verifier={','.join(verifiers)}", f"budget.candidates={','.join(map(str, LADDER))}"]
    shared, apart = [run(folder / "shared-0", *grids)], []
    for turn, verifier in enumerate(verifiers, 1):
        for count in LADDER:
            only = (f"verifier={verifier}", f"budget.candidates={count}")
            apart.append(run(folder / f"{verifier}-{count}", *common, *only))
        shared.append(run(folder / f"shared-{turn}", *grids))
    median = {name: statistics.median(each[name] for each in shared) for name in shared[0]}
    whole = bench_sharing.add(apart)
    return {"ratio": {name: whole[name] / median[name] for name in median}, "shared": shared, "apart": whole}
