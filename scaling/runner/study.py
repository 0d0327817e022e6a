"""One run: a model, a verifier, a search and a ladder over many conditions, from nothing or from where it stopped."""

from __future__ import annotations

import dataclasses
import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scaling.budget import Budget
from scaling.journal.stream import Stream, blocks_of, digest
from scaling.noise import NoiseSpace
from scaling.protocols import Condition, Conditions, Denoiser, Features, Metric, PerSample, Search, Verifier
from scaling.runner import collect, curve
from scaling.runner.batches import Batches
from scaling.runner.candidates import write_candidates
from scaling.runner.finals import Finals, winners
from scaling.runner.folder import environment, write_json
from scaling.runner.progress import Progress
from scaling.runner.samples import write_samples
from scaling.runner.shape import batch_shape
from scaling.runner.stages import Stage, stages
from scaling.runner.turns import KEEP, Task, run_block
from scaling.sampling import Euler, Sampler


@dataclass(frozen=True)
class Study:
    """All parts of a run, built; `names` are how the curve calls model, verifier and search."""

    denoiser: Denoiser
    conditions: Conditions
    verifier: Verifier
    search: Search
    budget: Budget
    sampler: Sampler = field(default_factory=Euler)
    scorers: Mapping[str, Verifier] = field(default_factory=dict)  # scored beside, guiding nothing
    extractors: Mapping[str, Features] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    per_sample: Mapping[str, PerSample] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    output_dir: Path = Path("outputs")
    study: str = "study"
    run: str = "run"
    batch_size: int | None = None  # None: measured once per model and device
    block_size: int = 64
    keep: str = "latents"
    samples: int = 36
    progress: bool = True

    def __post_init__(self) -> None:
        if self.keep not in KEEP:
            raise ValueError(f"journal.keep={self.keep!r} is none of {', '.join(KEEP)}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ValueError(f"seed={self.seed!r} must be a whole number")
        for name in ("batch_size", "block_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        self.budget.check(self.sampler)
        self.stages()

    @property
    def folder(self) -> Path:
        return Path(self.output_dir) / self.study / self.run

    def name(self, part: str) -> str:
        return self.names.get(part) or type(getattr(self, {"model": "denoiser"}.get(part, part))).__name__.lower()

    def space(self, condition: Condition) -> NoiseSpace:
        denoiser = self.denoiser
        shape = tuple(denoiser.latent_shape)
        nfe = self.budget.nfes_per_iter
        return NoiseSpace(self.seed, condition.key, shape, denoiser.schedule, self.sampler, nfe)

    def stages(self) -> list[Stage]:
        return stages(self.search, self.budget, self.space(next(iter(self.conditions))))

    def identity(self, search: Search, batch_size: int) -> dict[str, Any]:
        """All that decides the answers of a search process; the budget is not in it."""
        guides = {} if getattr(search, "open_loop", False) else {"verifier": dict(self.verifier.identity())}
        kind = type(search)
        parameters: dict[str, Any] = dataclasses.asdict(search) if dataclasses.is_dataclass(search) else {}  # type: ignore
        return {
            "denoiser": dict(self.denoiser.identity()),
            "sampler": type(self.sampler).__name__,
            "schedule": repr(self.denoiser.schedule)[:2000],
            "nfes_per_iter": self.budget.nfes_per_iter,
            "search": {"name": f"{kind.__module__}.{kind.__qualname__}", **parameters},
            "conditions": dict(self.conditions.identity()),
            "seed": self.seed,
            "batch_size": batch_size,
            "block_size": self.block_size,
            **guides,
        }


def execute(study: Study) -> Path:
    """Runs a study to its end and returns its folder; what is already there is read, not computed again."""
    begun = time.monotonic()
    folder = study.folder
    folder.mkdir(parents=True, exist_ok=True)
    journal = Path(study.output_dir) / "journal"
    guiding = study.name("verifier")
    scorers = {guiding: study.verifier, **study.scorers}
    first = next(iter(study.conditions))
    size = study.batch_size or batch_shape(study.denoiser, first, journal / "batch_shapes.json")
    batches = Batches(study.denoiser, study.sampler, scorers, study.extractors, size)
    identities = {
        "model": dict(study.denoiser.identity()),
        "verifiers": {name: dict(verifier.identity()) for name, verifier in scorers.items()},
        "extractors": {name: dict(extractor.identity()) for name, extractor in study.extractors.items()},
        "batch_size": size,
    }
    write_json(folder / "environment.json", environment(study.denoiser.device, identities))
    parts, conditions = _run_blocks(study, batches, journal, guiding)
    caps = _caps(study)
    labels = {
        "model": study.name("model"),
        "verifier": guiding,
        "search": study.name("search"),
        "guidance_scale": study.denoiser.guidance_scale,
        "seed": study.seed,
    }
    curve.write_winners(folder, parts, caps, conditions)
    curve.write_curve(folder, parts, len(caps), labels, study.denoiser.gflops(), study.metrics)
    cost = {
        "done": True,
        "seconds": time.monotonic() - begun,
        "paid": dataclasses.asdict(batches.paid),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "conditions": len(conditions),
    }
    write_json(folder / "cost.json", cost)
    return folder


def _caps(study: Study) -> list[int]:
    return [cap for _, cap in sorted(rung for stage in study.stages() for rung in stage.rungs)]


def _run_blocks(study: Study, batches: Batches, journal: Path, guiding: str) -> tuple[list[Path], dict[int, Condition]]:
    parts: list[Path] = []
    everyone: dict[int, Condition] = {}
    with Progress(study.run, len(study.conditions), study.progress) as progress:
        for number, conditions in blocks_of(study.conditions, study.block_size):
            first = number * study.block_size
            everyone.update(enumerate(conditions, first))
            path = study.folder / "blocks" / f"{number:05d}.npz"
            paid = not path.exists()
            if paid:
                batches.open(conditions)
                collect.save(path, _run_stages(study, batches, journal, guiding, number, conditions, progress))
            scores = collect.load(path, ["rung/index", "rung/score"])
            last = scores["rung/index"] == scores["rung/index"].max()
            progress.block(len(conditions), float(scores["rung/score"][last].mean()), paid)
            parts.append(path)
    return parts, everyone


def _run_stages(
    study: Study,
    batches: Batches,
    journal: Path,
    guiding: str,
    number: int,
    conditions: list[Condition],
    progress: Progress,
) -> collect.Part:
    results = []
    for stage in study.stages():
        stream = Stream(journal, study.identity(stage.search, batches.size), study.block_size)
        block = stream.block(number, conditions)
        spaces = [study.space(condition) for condition in conditions]
        task = Task(stage.search, spaces, conditions, block, batches, guiding, stage.cap, study.keep)
        run_block(task, progress.rows)
        rungs = {index: winners(task, cap) for index, cap in stage.rungs}
        finals = Finals(task, study.budget.final)
        first = number * study.block_size
        results.append(collect.collect(task, finals, rungs, study.per_sample, first))
        write_candidates(stream.candidates_path(number), task, first)
        _link(study.folder / "candidates", stream, number, stage if len(study.stages()) > 1 else None)
        write_samples(study.folder, task, finals, rungs, dict(stage.rungs), first, study.samples)
    return collect.join(results)


def _link(folder: Path, stream: Stream, number: int, stage: Stage | None) -> None:
    """The stream's candidates as part of this run, without a second copy."""
    folder.mkdir(exist_ok=True)
    rung = "" if stage is None else f"{stage.cap}-"
    link = folder / f"part-{rung}{number:05d}.parquet"
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(stream.candidates_path(number), folder))
