"""How long a user waits for the help, for a composed configuration, and for the first candidate of a new run."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from typing import Any

from bench_tools import ROOT, scratch

REPEATS = 3


def main() -> dict[str, Any]:
    results: dict[str, Any] = {}
    with scratch() as folder:
        first = ["model=fashion_m", "conditions.count=1", "budget.candidates=1", "logger=none", "samples=0"]
        commands = {"--help": ["--help"], "--cfg job": ["--cfg", "job"]}
        for name, arguments in commands.items():
            results[name] = best([arguments] * REPEATS)
        results["first candidate"] = best(
            [[*first, "batch_size=64", f"output_dir={folder}/{i}"] for i in range(REPEATS)]
        )
        results["with the batch shape measured"] = best([[*first, f"output_dir={folder}/measured"]])
    for name, said in results.items():
        print(f"startup   {name:30} {said['wall']:6.2f} s wall, {said['cpu']:6.2f} s CPU (the best of {said['of']})")
    return results


def best(commands: list[list[str]]) -> dict[str, float]:
    times = [once(arguments) for arguments in commands]
    return {"wall": min(t[0] for t in times), "cpu": min(t[1] for t in times), "of": len(times)}


def once(arguments: list[str]) -> tuple[float, float]:
    """Wall seconds and the process's CPU seconds of one command."""
    wall, cpu = time.perf_counter(), _children()
    subprocess.run([sys.executable, "-m", "scaling", *arguments], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - wall, _children() - cpu


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
