"""Wall time of a run over its bare forward passes at the same batch shape, and where the rest goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from bench_tools import Took, median, now, paid, parts, scratch, timed

from scaling.budget import Budget
from scaling.engine.batch_size import measure
from scaling.engine.batches import Batches
from scaling.engine.episode import Episode
from scaling.journal.block import Block
from scaling.protocols import Denoiser, Verifier
from scaling.runner.study import Study
from scaling.search.random import Random

NFE = 10
CONDITIONS = 64
CANDIDATES = {"fashion_s": 32, "fashion_m": 24, "shapes": 8, "flux_wide": 8, "sdxl": 8}  # of each of them


def main() -> dict[str, Any]:
    results: dict[str, Any] = {}
    with scratch() as folder:
        for name, candidates in CANDIDATES.items():
            results[name] = said = overhead(*parts(name, CONDITIONS, folder / "prompts"), candidates, folder / name)
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
    """A run of random search with as many bare forward passes beside it, then again with clocks in its parts.

    The batch is the measured one unless `size` says another.
    """
    size = measure(denoiser, next(iter(conditions))) if size is None else size

    def study(run: str, count: int) -> Study:
        return Study(
            denoiser=denoiser, conditions=conditions, verifier=verifier, search=Random(), samples=0, progress=False,
            budget=Budget(nfes_per_iter=NFE, candidates=count), output_dir=folder / run, batch_size=size,
        )  # fmt: skip

    paid(study("warm", 1))
    with beside(denoiser, conditions, size) as pairs:
        paid(study("run", candidates))
    run, whole = typical(pairs)
    with clocks(denoiser) as seconds:
        again = timed(lambda: paid(study("again", candidates)))
    profile = {part: spent / own(again) for part, spent in seconds.items()}
    profile["rest"] = 1 - sum(profile.values())
    raw = {"run": vars(run), "bare": vars(whole), "calls": (len(pairs) - 1) * NFE}
    return {"batch_size": size, "ratio": run.over(whole), "profile": profile, **raw}


@contextmanager
def beside(denoiser: Denoiser, conditions: Any, size: int) -> Iterator[list[tuple[Took, Took]]]:
    """Pairs of a run's time up to the end of a batch and of as many bare forward passes made then, in a plain loop.

    So both meet the same moments of the machine, whose speed drifts. A last pair holds the run's end, and no passes.
    """
    rows = list(conditions)[:size]
    encoded = denoiser.encode([rows[i % len(rows)] for i in range(size)])
    pairs: list[tuple[Took, Took]] = []
    solve = Batches.solve

    @torch.inference_mode()
    def bare() -> Took:
        x = torch.randn(size, *denoiser.latent_shape).to(denoiser.device)  # anew, as where a tensor lies matters
        t = torch.full((size,), 0.5, device=denoiser.device)
        own = {name: value.clone() for name, value in encoded.items()}
        before = now()
        for _ in range(NFE):
            denoiser(x, t, own)
        return now() - before

    def both(batches: Batches, *rows: Any) -> Any:
        nonlocal last
        answers = solve(batches, *rows)
        run = now() - last
        pairs.append((run, bare()))
        last = now()
        return answers

    bare()
    Batches.solve = both  # type: ignore[method-assign]
    last = now()
    try:
        yield pairs
    finally:
        Batches.solve = solve  # type: ignore[method-assign]
    pairs.append((now() - last, Took(0.0, 0.0)))


def typical(pairs: Sequence[tuple[Took, Took]]) -> tuple[Took, Took]:
    """A run and its bare passes as if every batch but the first had taken the median one's time."""
    (start, _), *middle, (end, _) = pairs
    steady = median([each for each, _ in middle]) * len(middle) if middle else Took(0.0, 0.0)
    return start + steady + end, median([each for _, each in pairs[:-1]]) * (len(pairs) - 1)


@contextmanager
def clocks(denoiser: Denoiser) -> Iterator[dict[str, float]]:
    """Seconds in the parts of a run, none of which lies inside another, see `own`."""
    parts: dict[str, tuple[type, str]] = {
        "forwards": (type(denoiser), "__call__"),
        "decoding and scoring": (Batches, "_scores"),
        "searches": (Episode, "advance"),
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


def own(took: Took) -> float:
    """What a profile counts: CPU time, as others may be at work, but the wall's where a GPU does the work."""
    return took.wall if torch.cuda.is_available() else took.cpu


def _clocked(function: Callable[..., Any], seconds: dict[str, float], part: str) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        before = now()
        try:
            return function(*args, **options)
        finally:
            seconds[part] += own(now() - before)

    return call
