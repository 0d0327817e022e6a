"""The batch size: measured once per model and device, then kept, since results are bit-equal only at one size.

It is the denoiser's: where its images do not fit at once they are decoded and scored in parts (`Rows`).
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from scaling.files import Damaged, read_json
from scaling.identity import identity_of
from scaling.journal.stream import digest, write_atomically
from scaling.loading.devices import device_name
from scaling.protocols import Condition, Denoiser, begin_solve

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
BLOCK_SIZE = 64  # conditions that are searched together where nothing else is said
TOLERANCE = 0.05  # the smallest size within this of the best throughput is taken
REPEATS = 4
SLOW_CALL_SECONDS = 0.25  # seconds of a call from which on a size must gain that much, or no larger one is tried

Timer = Callable[[float], float]


@dataclass(frozen=True)
class MeasuredBatch:
    """A batch size, and where and when it was measured."""

    batch_size: int
    device: str
    measured: str = "before it was noted when"


def measured_batch(denoiser: Denoiser, condition: Condition, kept: Path, block_size: int = BLOCK_SIZE) -> MeasuredBatch:
    """The kept size for this model and device, or the one measured now (a few seconds).

    On a CPU there is one for each block size, so that a first run of small blocks does not hold later ones to small
    batches. Where the file is damaged, which is said, the size is that of the journal beside it.
    """
    device = device_name(denoiser.device)
    identity, most = {"denoiser": identity_of(denoiser), "device": device}, _most(denoiser, block_size)
    key, from_journal = digest({**identity, "most": most}), None
    try:
        sizes = read_json(kept)
    except Damaged as damaged:
        sizes, from_journal = {}, _begun(kept.parent, identity["denoiser"], block_size)
        print(
            f"{damaged}: the batch size is " + ("the journal's" if from_journal else "measured anew"),
            file=sys.stderr,
            flush=True,
        )
    if key not in sizes and isinstance(former := sizes.get(digest(identity)), int):
        return MeasuredBatch(min(former, most), device)
    if key not in sizes:
        size = from_journal or measure(denoiser, condition, block_size=block_size)
        sizes[key] = asdict(MeasuredBatch(size, device, f"{datetime.now():%Y-%m-%d %H:%M}"))
        write_atomically(kept, json.dumps(sizes, indent=1).encode())
    return MeasuredBatch(**sizes[key])


def _begun(journal: Path, denoiser: Any, block_size: int) -> int | None:
    """The batch size of the latest stream of this model and block size; None where there is none."""
    for path in sorted(journal.glob("*/stream.json"), key=lambda path: -path.stat().st_mtime):
        with suppress(Damaged):
            stream = read_json(path)
            if stream.get("denoiser") == json.loads(json.dumps(denoiser)) and stream.get("block_size") == block_size:
                return stream.get("batch_size")
    return None


def measure(denoiser: Denoiser, condition: Condition, seconds: float = 0.2, block_size: int = BLOCK_SIZE) -> int:
    """Doubles the batch until memory ends, and takes the smallest size within the tolerance of the best.

    All sizes are timed in turn, `seconds` each in all, so that a machine whose speed drifts favors none. A network
    that fills the device early is not asked for minutes: long calls must gain. Nothing is compiled for it.
    """
    timers: dict[int, Timer] = {}
    best, most = 0.0, _most(denoiser, block_size)
    compiler = "torch._dynamo" in sys.modules  # a second's import, left alone where nothing has asked for it
    with torch.compiler.set_stance("force_eager") if compiler else nullcontext():
        for size in (size for size in SIZES if size <= most):
            try:
                timers[size] = _timer(denoiser, condition, size)
            except torch.OutOfMemoryError:
                break
            call = timers[size](0.0)
            if call > SLOW_CALL_SECONDS and size / call < best * (1 + TOLERANCE):
                break
            best = max(best, size / call)
        repeats = [{size: size / timer(seconds / REPEATS) for size, timer in timers.items()} for _ in range(REPEATS)]
    rates = {size: max(repeat[size] for repeat in repeats) for size in timers}
    best = max(rates.values())
    return min(size for size, rate in rates.items() if rate >= best * (1 - TOLERANCE))


def _most(denoiser: Denoiser, block_size: int) -> int:
    """A CPU pays for empty rows as for full ones, and many searches have one row a condition of the block."""
    return min(block_size, SIZES[-1]) if denoiser.device.type == "cpu" else SIZES[-1]


def rate(denoiser: Denoiser, condition: Condition, size: int, seconds: float) -> float:
    """Rows a second of the fastest call."""
    return size / _timer(denoiser, condition, size)(seconds)


@torch.inference_mode()
def _timer(denoiser: Denoiser, condition: Condition, size: int) -> Timer:
    """Calls the model once; what it gives calls it for some seconds more and says how long the fastest call took.

    By the wall: CPU time would favor batches so small that one thread computes them. The fastest of many calls, made
    in turns, is one that others at work on the machine did not slow down.
    """
    encoded = {k: v.repeat_interleave(size, 0) for k, v in denoiser.encode([condition]).items()}
    x = torch.zeros(size, *denoiser.latent_shape, device=denoiser.device)
    t = torch.full((size,), 0.5, device=denoiser.device)

    @torch.inference_mode()
    def timer(seconds: float) -> float:
        fastest, end = math.inf, time.perf_counter() + seconds
        begin_solve(denoiser)
        while True:
            start = time.perf_counter()
            denoiser(x, t, encoded)
            if denoiser.device.type == "cuda":
                torch.cuda.synchronize()
            now = time.perf_counter()
            fastest = min(fastest, now - start)
            if now > end:
                return fastest

    begin_solve(denoiser)
    denoiser(x, t, encoded)
    return timer
