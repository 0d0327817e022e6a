"""A study with nothing left open: what every room below the runner is given instead of the study."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.engine.batches import Batches
from scaling.engine.block_run import BlockRun, SecondSolve
from scaling.engine.ladder import FittedSearch, Rung, rungs_of
from scaling.engine.retention import BYTES, Retention, size
from scaling.journal.block import Block
from scaling.journal.stream import Stream, digest
from scaling.noise import NoiseSpace
from scaling.protocols import Condition, Conditions, Metric, PerSample, RankSelector, SetSelector
from scaling.runner.identities import UNMEASURED, second_solve, stream_identity
from scaling.runner.study import Study
from scaling.traits import SearchTraits


@dataclass(frozen=True)
class ResolvedStream:
    """A search in its size with the rungs that it answers, and what decides its answers."""

    fitted: FittedSearch
    identity: Mapping[str, Any]


@dataclass(frozen=True)
class JournalUse:
    """Where the answers of all runs are, in blocks of how many conditions, and which samples of this run's stay."""

    root: Path
    block_size: int
    retention: Retention


@dataclass(frozen=True)
class SecondBatches:
    """How winners are solved again after drafts."""

    batches: Batches
    start: float | None  # the time from which the draft's state is gone on from
    name: str  # of the samples in the journal

    def of(self, conditions: Sequence[Condition], first: int) -> SecondSolve:
        """The same for a block of conditions, encoded."""
        return SecondSolve(self.batches, self.batches.encode(conditions, first), self.start, self.name)


@dataclass(frozen=True)
class Outcome:
    """How winners are found among the candidates, and what is made of them."""

    guide: str  # name of the verifier that guides
    selector: RankSelector | SetSelector | None
    final_nfe: int  # of a winner's last solve
    second: SecondBatches | None  # what makes that solve, where the search's own network does not, or not from noise
    metrics: Mapping[str, Metric]
    per_sample: Mapping[str, PerSample]
    labels: Mapping[str, Any]  # what the tables call the run's parts
    samples: int  # conditions whose winners are kept as pictures


@dataclass(frozen=True)
class ResolvedStudy:
    """What is computed with what, where it goes, and how it is shown."""

    folder: Path  # the run's
    title: str
    conditions: Conditions
    space: NoiseSpace  # of the first condition
    batches: Batches
    streams: tuple[ResolvedStream, ...]
    journal: JournalUse
    outcome: Outcome
    progress: bool

    @property
    def rungs(self) -> list[Rung]:
        """The rungs of all streams, as one ladder."""
        return rungs_of([stream.fitted for stream in self.streams])

    def up_to(self, rungs: int) -> ResolvedStudy:
        """The same for the first rungs of the ladder alone."""
        cut = [(stream, stream.fitted.up_to(rungs)) for stream in self.streams]
        streams = tuple(dataclasses.replace(stream, fitted=fitted) for stream, fitted in cut if fitted.rungs)
        return dataclasses.replace(self, streams=streams, title=f"{self.title}, rung {rungs}")

    def open_streams(self) -> list[tuple[FittedSearch, Stream]]:
        """The folders of its streams, which say in words whose they are."""
        root, block_size = self.journal.root, self.journal.block_size
        return [(stream.fitted, Stream(root, stream.identity, block_size)) for stream in self.streams]

    def block_runs(
        self, number: int, conditions: Sequence[Condition], opened: Sequence[tuple[FittedSearch, Block]]
    ) -> list[BlockRun]:
        """Searches over a block of conditions, which are encoded once for all of them; `opened` are their tables."""
        first, second = number * self.journal.block_size, self.outcome.second
        encoded = self.batches.encode(conditions, first)
        solver = None if second is None else second.of(conditions, first)
        spaces = [dataclasses.replace(self.space, condition_key=condition.key) for condition in conditions]
        return [
            BlockRun(
                fitted=fitted,
                spaces=spaces,
                table=table,
                batches=self.batches,
                encoded=encoded,
                guide=self.outcome.guide,
                retention=self.journal.retention,
                second=solver,
            )
            for fitted, table in opened
        ]


def resolve(study: Study, batch_size: int | None = None, prepared: float = 0.0) -> ResolvedStudy:
    """Settles what a study leaves open.

    `batch_size` is that of the run, recorded or measured; by default the study's own, and where it has none identities
    say that it is not measured. `prepared` are the seconds in which all conditions were encoded beforehand.
    A ValueError where verifiers look at several noise levels.
    """
    size = batch_size or study.batch_size or UNMEASURED
    probe_sigma = study.probe_sigma if SearchTraits.of(study.search).open_loop else None
    judged = study.scored, study.extractors
    batches = Batches(study.searcher, study.sampler, *judged, size, probe_sigma, study.metadata, prepared)
    streams = [ResolvedStream(each, stream_identity(study, each.search, size)) for each in study.searches()]
    return ResolvedStudy(
        folder=study.folder,
        title=study.run,
        conditions=study.conditions,
        space=study.space(next(iter(study.conditions))),
        batches=batches,
        streams=tuple(streams),
        journal=JournalUse(Path(study.output_dir) / "journal", study.block_size, retention_of(study)[0]),
        outcome=_outcome(study, batches),
        progress=study.progress,
    )


def _second(study: Study, batches: Batches) -> SecondBatches | None:
    said = second_solve(study)
    if not said:
        return None
    size, probe_sigma = batches.batch_size, batches.probe_sigma
    if study.draft is not None:
        judged = study.scored, study.extractors
        batches = Batches(study.denoiser, study.sampler, *judged, size, probe_sigma, study.metadata)
    return SecondBatches(batches, study.budget.final_from, f"-{digest(said)}")


def _outcome(study: Study, batches: Batches) -> Outcome:
    labels = {
        "model": study.name("model"),
        "verifier": study.name("verifier" if study.selector is None else "selector"),
        "search": study.name("search"),
        "guidance_scale": study.denoiser.guidance_scale,
        "seed": study.seed,
    }
    return Outcome(
        guide=study.name("verifier"),
        selector=study.selector,
        final_nfe=study.budget.final,
        second=_second(study, batches),
        metrics=study.metrics,
        per_sample=study.per_sample,
        labels=labels,
        samples=study.samples,
    )


def retention_of(study: Study) -> tuple[Retention, str]:
    """Which samples the journal keeps, and a line on what that takes; `winners` where all would pass the limit."""
    needed = latents_bytes(study)
    if SearchTraits.of(study.search).reads & {"x", "x0"}:
        why = f"the search reads its candidates again: the journal grows by up to {size(needed)}"
        return Retention(study.retention), why
    if study.retention != "latents":
        return Retention(study.retention), ""
    if needed <= study.limit:
        return Retention("latents"), f"all candidates are kept for later verifiers: up to {size(needed)}"
    return (
        Retention("winners"),
        f"all candidates would take {size(needed)}, more than journal.limit_gb={study.limit / 1e9:g}: only winners are "
        "kept, so a later verifier has to denoise again; list it as a scorer now, or raise the limit",
    )


def latents_bytes(study: Study) -> int:
    """An upper estimate of what the clean latents of all candidates take, with the predictions for later verifiers."""
    candidates = sum(fitted.nfe for fitted in study.searches()) // study.budget.nfes_per_iter
    probes = study.probe_sigma is not None and SearchTraits.of(study.search).open_loop
    return len(study.conditions) * candidates * (1 + probes) * math.prod(study.denoiser.latent_shape) * BYTES
