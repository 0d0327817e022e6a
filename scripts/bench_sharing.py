"""What a grid of verifiers and budgets costs: shared, against its largest run alone, and against sharing nothing.

python scripts/bench_sharing.py [--conditions 256] [--verifiers classifier,oracle,self_supervised,control] ...
Prints NFE, wall and CPU seconds of each and their ratios; everything runs in this one process, models built once.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from scaling.cli.run import main as scaling


def run(folder: Path, *overrides: str) -> dict[str, float]:
    """One command; what it paid and took."""
    sys.argv = ["scaling", *overrides, f"output_dir={folder}", "logger=none", "progress=false"]
    wall, cpu = time.perf_counter(), time.process_time()
    scaling()
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    costs = [json.loads(path.read_text()) for path in folder.glob("*/*/cost.json")]
    return {"nfe": sum(cost["paid"]["nfe"] for cost in costs), **took}


def add(parts: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fashion_s")
    parser.add_argument("--verifiers", default="classifier,oracle,self_supervised,control")
    parser.add_argument("--candidates", default="1,2,4,8,16,32,64,128")
    parser.add_argument("--conditions", type=int, default=256)
    parser.add_argument("--launcher", default="basic", help="of the shared grid; the CPU time of joblib is not seen")
    parser.add_argument("--apart", action=argparse.BooleanOptionalAction, default=True, help="run each alone as well")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench_sharing"), help="emptied first")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    common = [f"model={options.model}", f"conditions.count={options.conditions}"]
    verifiers, ladder = options.verifiers.split(","), options.candidates.split(",")
    run(options.out / "warm", *common[:1], "conditions.count=8", "budget.candidates=1")  # imports, batch shape
    shapes = options.out / "warm" / "journal" / "batch_shapes.json"
    common.append(f"batch_size={next(iter(json.loads(shapes.read_text()).values()))['batch_size']}")

    largest = run(options.out / "largest", *common, f"verifier={verifiers[0]}", f"budget.candidates={ladder[-1]}")
    grid = [f"verifier={options.verifiers}", f"budget.candidates={options.candidates}"]
    shared = run(options.out / "shared", "-m", *common, *grid, f"hydra/launcher={options.launcher}")
    runs = f"{len(verifiers) * len(ladder)} runs ({', '.join(grid)})"
    print(f"\n{options.model}, {options.conditions} conditions, {runs}")
    print(f"{'':24}{'NFE':>12}{'wall s':>10}{'CPU s':>10}")
    show("largest run alone", largest)
    show("grid, shared", shared)
    compare("shared / largest", shared, largest)
    if options.apart:
        apart = add(
            [
                run(options.out / "apart" / f"{name}-{n}", *common, f"verifier={name}", f"budget.candidates={n}")
                for name in verifiers
                for n in ladder
            ]
        )
        show("grid, nothing shared", apart)
        compare("shared / not shared", shared, apart)


def show(name: str, cost: dict[str, float]) -> None:
    print(f"{name:24}{cost['nfe']:12,.0f}{cost['wall']:10.1f}{cost['cpu']:10.1f}")


def compare(name: str, ours: dict[str, float], other: dict[str, float]) -> None:
    ratios = [ours[key] / other[key] for key in ("nfe", "wall", "cpu")]
    print(f"{name:24}{ratios[0]:12.3f}{ratios[1]:10.3f}{ratios[2]:10.3f}", flush=True)


if __name__ == "__main__":
    main()
