"""What a large study costs beside its runs: 1,000 jobs looked at before the first one, a page over 100 runs."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

from bench_tools import scratch, timed

JOBS = (
    "model=fashion_m",
    "search=random,zero_order,smc,dfs,halving",
    "verifier=classifier,oracle",
    "seed=range(0,10)",
    "budget.nfes_per_iter=4,6,8,10,12",
    "conditions.count=100,200",
)
SEARCHES = ("random", "zero_order", "smc", "dfs", "halving")
RUNS = (SEARCHES, ("fashion_s", "fashion_m"), ("classifier", "oracle"), range(5))


def main() -> dict[str, Any]:
    with scratch() as folder:
        results = {"plan": planned(folder), "report": reported(folder)}
    for name, said in results.items():
        size = f", {said['mb']:.1f} MB" if "mb" in said else ""
        print(f"study     {name:10} {said['count']} in {said['wall']:.1f} s wall, {said['cpu']:.1f} s CPU{size}")
    return results


def planned(folder: Path) -> dict[str, Any]:
    """Composes the jobs and looks at them, as a multirun does before its first one."""
    from scaling.cli.ahead import looked_at
    from scaling.config.compose import grid

    studies: list[Any] = []

    def plan() -> None:
        studies.extend(looked_at(grid([*JOBS, f"output_dir={folder}"]))[0])

    took = timed(plan)
    return {"count": len(studies), "wall": took.wall, "cpu": took.cpu}


def reported(folder: Path) -> dict[str, Any]:
    """Writes the page of a study of made-up runs with six rungs, 200 conditions and pictures each."""
    from folders import make_run  # the tests' own

    from scaling.analysis.report import write_report
    from scaling.analysis.runs.folder import open_study

    runs = list(product(*RUNS))
    for number, (search, model, verifier, seed) in enumerate(runs):
        make_run(
            folder / "study", f"{number:03d}", search, verifier, model, seed,
            ladder=(1, 2, 4, 8, 16, 32), conditions=200, sets=("fid", "recall"),
        )  # fmt: skip
    page = folder / "report.html"
    took = timed(lambda: write_report(open_study(folder / "study"), page))
    return {"count": len(runs), "wall": took.wall, "cpu": took.cpu, "mb": page.stat().st_size / 1e6}


if __name__ == "__main__":
    main()
