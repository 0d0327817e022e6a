"""What a grid of runs will cost before anything runs: what they share is counted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scaling.journal.stream import digest
from scaling.runner.keep import latents_bytes, size
from scaling.runner.shape import rate
from scaling.runner.study import Study, is_done


@dataclass
class Stream:
    """One search process and the furthest that any run takes it, in all conditions together."""

    forwards_per_nfe: int
    gflops: float
    nfe: int = 0
    done: int = 0  # of finished runs


@dataclass(frozen=True)
class Plan:
    """Runs, and upper bounds of what they will pay."""

    runs: int
    finished: int
    apart: int  # search NFE if nothing were shared
    final_nfe: int  # second solves of winners, at most
    disk: int  # bytes of kept latents
    streams: Mapping[str, Stream] = field(default_factory=dict)

    @property
    def nfe(self) -> int:
        return sum(stream.nfe for stream in self.streams.values())

    @property
    def left(self) -> int:
        return sum(max(stream.nfe - stream.done, 0) for stream in self.streams.values())

    @property
    def gflops(self) -> float:
        return sum(s.nfe * s.forwards_per_nfe * s.gflops for s in self.streams.values())

    def text(self, speed: float, workers: int) -> str:
        """For people; `speed` is denoiser calls a second of one worker."""
        hours = (self.left + self.final_nfe) / speed / workers / 3600
        lines = [
            f"{self.runs} runs, {self.finished} of them finished, on {len(self.streams)} streams",
            f"search NFE   {self.nfe:,} ({self.apart:,} if nothing were shared); {self.left:,} left",
            f"final NFE    {self.final_nfe:,} at most: each distinct winner is solved once",
            f"compute      {self.gflops:,.0f} GFLOPs of the denoiser's search",
            f"time         {hours:.2f} h at {speed:,.0f} NFE/s and {workers} worker{'s' * (workers > 1)}",
            f"disk         {size(self.disk)} of latents at most",
        ]
        return "\n".join(lines)


def plan(studies: Sequence[Study]) -> Plan:
    """Adds up runs; those that ask the same of the same stream cost its largest budget once."""
    streams: dict[str, Stream] = {}
    disk: dict[str, int] = {}
    apart = final = finished = 0
    for study in studies:
        count, done = len(study.conditions), is_done(study.folder)
        finished += done
        for stage in study.stages():
            identity = study.identity(stage.search, study.batch_size or 0)  # the shape is one for all of a model
            denoiser = study.denoiser
            stream = streams.setdefault(digest(identity), Stream(denoiser.forwards_per_call, denoiser.gflops()))
            stream.nfe = max(stream.nfe, stage.cap * count)
            stream.done = max(stream.done, stage.cap * count * done)
            apart += stage.cap * count
            key = digest(identity)
            disk[key] = max(disk.get(key, 0), latents_bytes(study) if study.keep == "latents" else 0)
        if study.budget.final != study.budget.nfes_per_iter and getattr(study.search, "resolve", True) and not done:
            final += count * len(study.budget.rungs) * study.budget.final
    return Plan(len(studies), finished, apart, final, sum(disk.values()), streams)


def measured_speed(study: Study) -> float:
    """Denoiser calls a second here, at the given batch size or 64."""
    first = next(iter(study.conditions))
    return rate(study.denoiser, first, study.batch_size or 64, seconds=1.0)
