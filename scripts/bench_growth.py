"""Time and peak memory against candidates, conditions and image size; every point in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

CANDIDATES, CONDITIONS, SIZES = (1, 32, 1024), (1000, 20_000, 100_000), (16, 32, 64, 128)


def main() -> dict[str, Any]:
    points = {
        "candidates": [{"candidates": count, "conditions": 16} for count in CANDIDATES],
        "conditions": [{"candidates": 4, "conditions": count} for count in CONDITIONS],
        "pixels": [{"candidates": 2, "conditions": 8, "pixels": size} for size in SIZES],
    }
    results: dict[str, Any] = {}
    for axis, settings in points.items():
        results[axis] = said = [point(setting) for setting in settings]
        for one in said:
            unit = 1e3 * one["cpu"] / (one["conditions"] * one["candidates"])
            print(
                f"growth    {axis:10} {one[axis]:6}: {one['wall']:7.2f} s wall, {one['cpu']:7.2f} s CPU, "
                f"{unit:7.3f} ms CPU a candidate, peak {one['peak_mb']:.0f} MB, {one['grown_mb']:+.0f} MB by the run"
            )
    return results


def point(setting: dict[str, int]) -> dict[str, Any]:
    command = [sys.executable, __file__, json.dumps(setting)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent).stdout
    return {**setting, **json.loads(out.splitlines()[-1])}


def child(setting: dict[str, int]) -> dict[str, float]:
    """One run; its time, the process's highest memory, and how much of that came after a run of one candidate."""
    from bench_tools import Grays, paid, pipeline_model, scratch, timed, words

    from scaling.budget import Budget
    from scaling.conditions.class_labels import ClassLabels
    from scaling.models.gaussian_mixture import GaussianMixture
    from scaling.runner.study import Study
    from scaling.search.random import Random

    with scratch() as folder:
        if "pixels" in setting:
            denoiser: Any = pipeline_model("sdxl", folder / "prompts", setting["pixels"])
            conditions: Any = words(setting["conditions"])
        else:
            denoiser = GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2))
            conditions = ClassLabels(count=setting["conditions"], classes=2)

        def study(run: str, candidates: int, of: Any) -> Study:
            return Study(
                denoiser=denoiser, conditions=of, verifier=Grays(), search=Random(), samples=0, progress=False,
                budget=Budget(nfes_per_iter=4, candidates=candidates), output_dir=folder / run,
                batch_size=8 if "pixels" in setting else 64,
            )  # fmt: skip

        paid(study("warm", 1, words(8) if "pixels" in setting else ClassLabels(count=10, classes=2)))
        before = highest(afresh=True)
        took = timed(lambda: paid(study("run", setting["candidates"], conditions)))
        peak = highest()
    return {"wall": took.wall, "cpu": took.cpu, "peak_mb": peak, "grown_mb": peak - before}


def highest(afresh: bool = False) -> float:
    """The process's highest memory so far in MB; `afresh` forgets the imports' first, where the system can."""
    status, forget = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not forget.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if afresh:
        forget.write_text("5")
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    print(json.dumps(child(json.loads(sys.argv[1]))))
