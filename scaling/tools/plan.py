"""What a grid of runs will cost before anything runs: what they share is counted once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scaling.engine.batch_size import BLOCK_SIZE, rate
from scaling.engine.ladder import FittedSearch, solves_again
from scaling.engine.made_up import Asked, asked
from scaling.engine.prices import forward_gflops
from scaling.engine.retention import BYTES, Retention, size
from scaling.journal.stream import digest
from scaling.noise import NoiseSpace
from scaling.output.run_folder import is_done
from scaling.runner.gate import gate_of
from scaling.runner.resolve import ResolvedStream, ResolvedStudy, resolve
from scaling.runner.study import Study
from scaling.traits import SearchTraits

UTILIZATION = 0.4  # of the peak: on an H100 DiT-XL/2 reached 0.36, compiled 0.45, SDXL 0.38 (docs/performance.md)
PEAKS = {  # dense TFLOP/s: float32 outside tensor cores (torch's default), bfloat16 or float16 on them
    "h200": (67.0, 989.0),
    "h100": (67.0, 989.0),
    "a100": (19.5, 312.0),
    "l40s": (91.6, 362.0),
    "a10": (31.2, 125.0),
    "rtx4090": (82.6, 165.0),
    "v100": (15.7, 125.0),
    "t4": (8.1, 65.0),
}


@dataclass
class Stream:
    """One search process and the furthest that any run takes it, in all conditions together."""

    forwards_per_nfe: int
    gflops: float  # of a forward
    nfe: int = 0
    done: int = 0  # of finished runs
    backwards: int = 0  # backward passes, of gradients
    backwards_done: int = 0  # of finished runs
    candidates: int = 0  # clean ones
    winners: int = 0  # of all rungs of all runs that are not finished
    second_solve: int = 0  # NFE that a winner costs again
    kept: float = 0  # bytes of the search's samples
    gflops_per_final_nfe: float | None = None  # where another network than the search's solves winners

    @property
    def left(self) -> int:
        """Search NFE that the journal does not hold."""
        return max(self.nfe - self.done, 0)

    @property
    def forwards_left(self) -> int:
        """The same, in what takes as long: a backward pass counts as two, as in `Prices.search`."""
        return self.left + 2 * max(self.backwards - self.backwards_done, 0)

    @property
    def solves(self) -> int:
        """Second solves, at most: several rungs and verifiers may have the same winner."""
        return min(self.winners, self.candidates) if self.second_solve else 0

    @property
    def final_nfe(self) -> int:
        """NFE of the winners' final solves."""
        return self.solves * self.second_solve

    def compute(self, forwards: int) -> float:
        """GFLOPs of denoiser calls."""
        return forwards * self.forwards_per_nfe * self.gflops

    @property
    def final_gflops(self) -> float:
        """GFLOPs of second solves, by the model itself where a draft searches."""
        return self.final_nfe * (self.gflops_per_final_nfe or self.forwards_per_nfe * self.gflops)


@dataclass(frozen=True)
class Plan:
    """Runs, and what they will pay; exact but for winners that several rungs share and costs that follow scores."""

    runs: int
    finished: int
    apart: int  # search NFE if nothing were shared
    row: int  # bytes of a sample
    gates: int  # NFE of calibrations within all others
    streams: Mapping[str, Stream] = field(default_factory=dict)

    @property
    def nfe(self) -> int:
        """Search NFE of all streams."""
        return sum(stream.nfe for stream in self.streams.values())

    @property
    def left(self) -> int:
        """Search NFE that no journal holds."""
        return sum(stream.left for stream in self.streams.values())

    @property
    def final_nfe(self) -> int:
        """NFE of all winners' final solves."""
        return sum(stream.final_nfe for stream in self.streams.values())

    @property
    def gflops(self) -> float:
        """Of all searches, their backward passes and, at most, final solves; finished ones included."""
        streams = self.streams.values()
        return sum(each.compute(each.nfe + 2 * each.backwards) + each.final_gflops for each in streams)

    @property
    def disk(self) -> float:
        """Bytes that journals and final samples will take."""
        return sum(stream.kept + stream.solves * self.row for stream in self.streams.values())

    def hours(self, workers: int, nfe_per_second: float | None = None, tflops: float | None = None) -> float:
        """Of what is left, by denoiser calls a second of one worker or by the TFLOP/s that it reaches."""
        streams = self.streams.values()
        if nfe_per_second is not None:
            forwards = sum(stream.forwards_left for stream in streams) + self.final_nfe
            return forwards / nfe_per_second / workers / 3600
        assert tflops is not None
        gflops = sum(stream.compute(stream.forwards_left) + stream.final_gflops for stream in streams)
        return gflops / (tflops * 1000) / workers / 3600

    def text(self, hours: float, pace: str) -> str:
        """For people; `pace` says by what the hours are reckoned."""
        passes = "; a backward pass counts as two forwards" * any(each.backwards for each in self.streams.values())
        lines = [
            f"{self.runs} runs, {self.finished} of them finished, on {len(self.streams)} streams",
            f"search NFE   {self.nfe:,} ({self.apart:,} if nothing were shared); {self.left:,} left",
            f"final NFE    {self.final_nfe:,} at most: each distinct winner is solved once",
            f"compute      {self.gflops:,.0f} GFLOPs of the denoiser (2 per multiply-add{passes})",
            f"time         {hours:,.2f} h {pace}, the denoiser alone: decoding and scoring come on top",
            f"disk         {size(self.disk)} of samples at most; features of winners come on top",
        ]
        if self.gates:
            lines.insert(3, f"calibration  {self.gates:,} NFE of these, before all else")
        return "\n".join(lines)


def plan(studies: Sequence[Study]) -> Plan:
    """Adds up runs; those that ask the same of the same stream cost its largest budget once."""
    streams: dict[str, Stream] = {}
    runs = [resolve(study) for study in studies]
    apart = sum(_add(streams, run) for run in runs)
    row = max(math.prod(run.space.shape) for run in runs) * BYTES
    waiting = [study for study, run in zip(studies, runs, strict=True) if not is_done(run.folder)]
    gates = {gate.folder: gate for study in waiting if (plain := gate_of(study)) for gate in [resolve(plain)]}
    searched = sum(_add(streams, gate) for gate in gates.values())
    solved = sum(len(gate.conditions) * _second_solve(gate, gate.streams[0]) for gate in gates.values())
    return Plan(len(runs), len(runs) - len(waiting), apart + searched, row, searched + solved, streams)


def measured_speed(study: Study) -> float:
    """Denoiser calls a second here, at the study's batch size or a middling one."""
    first = next(iter(study.conditions))
    return rate(study.denoiser, first, study.batch_size or BLOCK_SIZE, seconds=1.0)


def _add(streams: dict[str, Stream], run: ResolvedStudy) -> int:
    """Adds a run to the streams that it uses; the search NFE that it would cost alone."""
    apart, count, denoiser, done = 0, len(run.conditions), run.batches.denoiser, is_done(run.folder)
    forward = forward_gflops(denoiser, run.space.nfes_per_iter)
    for each in run.streams:
        fitted, traits = each.fitted, each.fitted.traits
        stream = streams.setdefault(digest(each.identity), Stream(denoiser.forwards_per_call, forward))
        spent = spending(run.space, fitted)
        stream.nfe = max(stream.nfe, spent.nfe * count)
        stream.done = max(stream.done, spent.nfe * count * done)
        stream.backwards = max(stream.backwards, spent.backwards * count)
        stream.backwards_done = max(stream.backwards_done, spent.backwards * count * done)
        stream.candidates = max(stream.candidates, spent.clean * count)
        stream.winners += count * min(len(fitted.rungs), spent.clean) * (not done)
        stream.second_solve = max(stream.second_solve, _second_solve(run, each))
        if second := run.outcome.second:
            solver = second.batches.denoiser
            stream.gflops_per_final_nfe = solver.forwards_per_call * forward_gflops(solver, run.outcome.final_nfe)
        probes = run.batches.probe_sigma is not None and traits.open_loop
        kept = kept_bytes(run.space, traits, spent, run.journal.retention, probes)
        stream.kept = max(stream.kept, count * kept)
        apart += spent.nfe * count
    return apart


def _second_solve(run: ResolvedStudy, stream: ResolvedStream) -> int:
    """NFE of a winner's final solve; 0 where the search's own sample is final."""
    final = run.outcome.final_nfe
    again = run.outcome.second is not None or solves_again(stream.fitted.traits, run.space.nfes_per_iter, final)
    return final if again else 0


def spending(space: NoiseSpace, fitted: FittedSearch) -> Asked:
    """Of one condition, up to the cap of a search's last rung.

    Exact where the cost of a search does not follow its scores; all answers are worth the same here.
    """
    spent = Asked(0, 0, 0, 0, 0)
    for total in asked(fitted.search, space):
        if total.nfe > fitted.nfe:
            break
        spent = total
    return spent


def kept_bytes(space: NoiseSpace, traits: SearchTraits, spent: Asked, retention: Retention, probes: bool) -> float:
    """What the journal keeps of a condition's samples; with `winners` the expected number of records in a row.

    `probes`: with every sample its prediction at a probed noise level.
    """
    row = math.prod(space.shape) * BYTES
    reads = len(traits.reads & {"x", "x0"})
    if reads:
        return (spent.clean + reads * spent.between) * row
    records = sum(1 / k for k in range(1, spent.clean + 1))
    return {"latents": spent.clean * (1 + probes), "winners": records, "scores": 0}[retention.policy] * row


def tflops_of(gpu: str, dtype: str) -> float:
    """The TFLOP/s that a model of this type is presumed to reach; a ValueError names the known GPUs."""
    if gpu.lower() not in PEAKS:
        raise ValueError(f"--gpu {gpu} is none of {', '.join(PEAKS)}; give --tflops, what yours reaches")
    single, half = PEAKS[gpu.lower()]
    return UTILIZATION * (single if dtype == "float32" else half)
