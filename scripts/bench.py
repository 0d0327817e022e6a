"""Speed as ratios, measured in one run on this machine: python scripts/bench.py [overhead loop sharing ...].

Prints a line a ratio and writes the raw numbers to outputs/bench.json, where parts that are not run again stay.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

PARTS = {
    "startup": "bench_startup",
    "flops": "bench_flops",
    "batches": "bench_batches",
    "overhead": "bench_overhead",
    "loop": "bench_loop",
    "open_call": "bench_open_call",
    "growth": "bench_growth",
    "study": "bench_study",
    "journal": "bench_journal",
    "sharing": "bench_grid",
    "drafts": "bench_drafts",
    "full": "bench_full",  # where there is a GPU
}


def machine() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],  # how busy others keep it: far above 0, only CPU times say much
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; none means all")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench.json"))
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.parts or PARTS:
        there = machine()
        begun = time.perf_counter()
        measured = importlib.import_module(PARTS[name]).main()
        seconds = time.perf_counter() - begun
        results[name] = {"machine": there, "seconds": seconds, "results": measured}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1))
        print(f"({name}: {seconds:.0f} s)", flush=True)
    print(f"raw numbers in {options.out}")


if __name__ == "__main__":
    main()
