"""A journal of many candidates, written without denoising, resumed, listed and turned into a curve.

python scripts/bench_journal.py [--conditions 50000] [--candidates 256] [--out FOLDER]
Each step in a process of its own: seconds, size on disk, and how much its highest memory is above a tenth as many.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

CONDITIONS, CANDIDATES, NFE, BATCH = 1000, 256, 4, 64
STEPS = ("write", "resume", "list")


def main(conditions: int = CONDITIONS, candidates: int = CANDIDATES, out: Path | None = None) -> dict[str, Any]:
    from bench_tools import scratch

    if out is not None:
        return measured(out, conditions, candidates)
    with scratch() as folder:
        return measured(folder, conditions, candidates)


def measured(folder: Path, conditions: int, candidates: int) -> dict[str, Any]:
    few = {step: child(step, folder / "few", conditions // 10, candidates) for step in STEPS}
    many = {step: child(step, folder / "many", conditions, candidates) for step in STEPS}
    for step, said in many.items():
        more = conditions - conditions // 10
        growth = said["peak_mb"] - few[step]["peak_mb"]
        print(
            f"journal   {step:7} {conditions:,} x {candidates}: {said['wall']:.1f} s wall, {said['cpu']:.1f} s CPU, "
            f"{said['mb']:,.0f} MB on disk, peak {said['peak_mb']:.0f} MB, {growth:+.1f} MB by {more:,} conditions"
        )
    return {"few": few, "many": many}


def child(step: str, folder: Path, conditions: int, candidates: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--step", step, "--out", str(folder)]
    command += ["--conditions", str(conditions), "--candidates", str(candidates)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent).stdout
    return dict(json.loads(out.splitlines()[-1]))


def run_step(step: str, folder: Path, conditions: int, candidates: int) -> dict[str, float]:
    from bench_growth import highest
    from bench_tools import timed

    from scaling.tools.status import statuses, text

    def resume() -> None:
        import scaling

        paid = json.loads((scaling.run(study) / "cost.json").read_text())["paid"]
        (study.folder / "config.yaml").touch()  # which the command writes, and `status` looks for
        assert paid["nfe"] == 0, "the journal holds all"

    study = study_of(folder, conditions, candidates)
    steps = {"write": lambda: write(study), "resume": resume, "list": lambda: text(statuses(folder / "study"))}
    took = timed(steps[step])
    size = sum(path.stat().st_size for path in (folder / "journal").rglob("*.journal"))
    return {"wall": took.wall, "cpu": took.cpu, "mb": size / 1e6, "peak_mb": highest()}


def study_of(folder: Path, conditions: int, candidates: int) -> Any:
    from bench_tools import Grays

    from scaling.budget import Budget
    from scaling.conditions.class_labels import ClassLabels
    from scaling.models.gaussian_mixture import GaussianMixture
    from scaling.runner.study import Study
    from scaling.search.random import Random

    ladder = [2**i for i in range(candidates.bit_length()) if 2**i < candidates] + [candidates]
    return Study(
        denoiser=GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2)),
        conditions=ClassLabels(count=conditions, classes=2), verifier=Grays(), search=Random(), samples=0,
        budget=Budget(nfes_per_iter=NFE, candidates=ladder), output_dir=folder, batch_size=BATCH, progress=False,
    )  # fmt: skip


def write(study: Any) -> None:
    """The stream that the study would leave behind, batch by batch, with drawn scores and samples."""
    from scaling.journal.lease import Leases
    from scaling.journal.stream import Stream, blocks_of, digest
    from scaling.runner.identities import stream_identity

    (fitted,) = study.searches()
    stream = Stream(study.output_dir / "journal", stream_identity(study, fitted.search, BATCH), study.block_size)
    score = f"score/{digest(study.verifier.identity())}"
    draws = np.random.default_rng(0)
    for number, conditions in blocks_of(study.conditions, study.block_size):
        with Leases().wait(stream.block_folder(number)) as lease:
            block = stream.block(number, conditions, lease)
            places = np.arange(len(conditions))
            for row in range(fitted.nfe // NFE):
                keys = np.stack([places, np.full_like(places, row)], axis=1)
                block.write(keys, {**charges(row, len(keys)), **answers(draws, score, len(keys))})
            ends = np.stack([places, np.full_like(places, fitted.nfe // NFE)], axis=1)
            block.write(ends, {"next": np.full(len(ends), NFE)})
            block.sync()


def charges(row: int, count: int) -> dict[str, np.ndarray]:
    from scaling.engine.requests import Charge

    values = {"spent": (row + 1) * NFE, "nfe": NFE, "round": row, "parent": -1, "cosine": np.nan, "scored": 1}
    return {
        each.name: np.full(count, values.get(each.name, 0), each.metadata["dtype"])
        for each in dataclasses.fields(Charge)
    }


def answers(draws: np.random.Generator, score: str, count: int) -> dict[str, np.ndarray]:
    samples = draws.standard_normal((count, 1, 1, 2), np.float32)
    return {score: draws.standard_normal(count, np.float32), "latents": samples}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conditions", type=int, default=CONDITIONS)
    parser.add_argument("--candidates", type=int, default=CANDIDATES)
    parser.add_argument("--out", type=Path, help="kept; default: a temporary folder")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(options.step, options.out, options.conditions, options.candidates)))
    else:
        main(options.conditions, options.candidates, options.out)
