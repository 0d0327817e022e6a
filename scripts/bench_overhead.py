"""Wall time of a run over its bare forward passes at the same batch shape, and where the rest goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from bench_tools import Grays, Took, paid, pipeline_model, scratch, timed, words

from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.journal.block import Block
from scaling.models.dit import DiT
from scaling.protocols import Denoiser, Verifier
from scaling.runner.batches import Batches
from scaling.runner.lives import Life
from scaling.runner.shape import measure
from scaling.runner.study import Study
from scaling.search.random import Random
from scaling.verifiers.classifier import Classifier

NFE = 10
CANDIDATES = {"fashion_s": 32, "fashion_m": 16, "flux_wide": 4, "sdxl": 2}  # of each of 64 conditions


def main() -> dict[str, Any]:
    results: dict[str, Any] = {}
    with scratch() as folder:
        for name, candidates in CANDIDATES.items():
            embedded = name.startswith("fashion")
            denoiser: Denoiser = DiT(path=name) if embedded else pipeline_model(name, folder / "prompts")
            conditions: Any = ClassLabels(count=64, classes=10) if embedded else words(64)
            verifier: Verifier = Classifier() if embedded else Grays()
            results[name] = said = overhead(denoiser, conditions, verifier, candidates, folder / name)
            print(
                f"overhead  {name:10} batch {said['batch_size']:3}: run / bare forwards = {said['ratio']['wall']:.3f} "
                f"wall, {said['ratio']['cpu']:.3f} CPU; " + shares(said["profile"])
            )
    return results


def shares(profile: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in profile.items())


def overhead(
    denoiser: Denoiser, conditions: Any, verifier: Verifier, candidates: int, folder: Path, size: int | None = None
) -> dict[str, Any]:
    """A run of random search between two halves of its bare forward passes, then again with clocks in its parts.

    The batch is the measured one unless `size` says another.
    """
    size = measure(denoiser, next(iter(conditions))) if size is None else size

    def study(run: str, count: int) -> Study:
        return Study(
            denoiser=denoiser, conditions=conditions, verifier=verifier, search=Random(), samples=0, progress=False,
            budget=Budget(nfes_per_iter=NFE, candidates=count), output_dir=folder / run, batch_size=size,
        )  # fmt: skip

    paid(study("warm", 1))
    calls = -(-len(conditions) * candidates // size) * NFE
    before = bare(denoiser, conditions, size, calls // 2)
    run = timed(lambda: paid(study("run", candidates)))
    whole = before + bare(denoiser, conditions, size, calls - calls // 2)
    with clocks(denoiser) as seconds:
        again = timed(lambda: paid(study("again", candidates)))
    profile = {part: spent / again.cpu for part, spent in seconds.items()}
    profile["rest"] = 1 - sum(profile.values())
    raw = {"run": vars(run), "bare": vars(whole), "calls": calls}
    return {"batch_size": size, "ratio": run.over(whole), "profile": profile, **raw}


@torch.inference_mode()
def bare(denoiser: Denoiser, conditions: Any, size: int, calls: int) -> Took:
    """The model's forward passes in a loop, nothing else."""
    rows = list(conditions)[:size]
    encoded = denoiser.encode([rows[i % len(rows)] for i in range(size)])
    x = torch.randn(size, *denoiser.latent_shape).to(denoiser.device)
    t = torch.full((size,), 0.5, device=denoiser.device)
    denoiser(x, t, encoded)
    return timed(lambda: [denoiser(x, t, encoded) for _ in range(calls)])


@contextmanager
def clocks(denoiser: Denoiser) -> Iterator[dict[str, float]]:
    """CPU seconds in the parts of a run, none of which lies inside another."""
    parts: dict[str, tuple[type, str]] = {
        "forwards": (type(denoiser), "__call__"),
        "decoding and scoring": (Batches, "_scores"),
        "searches": (Life, "advance"),
        "journal": (Block, "write"),
        "encoding": (type(denoiser), "encode"),
    }
    seconds = dict.fromkeys(parts, 0.0)
    before = {part: getattr(owner, method) for part, (owner, method) in parts.items()}
    for part, (owner, method) in parts.items():
        setattr(owner, method, _clocked(before[part], seconds, part))
    try:
        yield seconds
    finally:
        for part, (owner, method) in parts.items():
            setattr(owner, method, before[part])


def _clocked(function: Callable[..., Any], seconds: dict[str, float], part: str) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args, **options)
        finally:
            seconds[part] += time.process_time() - start

    return call
