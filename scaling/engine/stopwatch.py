"""How long each part of a batch takes on its device, without waiting for it in between."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from scaling.budget import Cost

Took = Callable[[], float]  # says how many seconds a part was


class Stopwatch:
    """Seconds by part: those of a GPU between events on its stream, read once the answers have been copied anyway."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._taken: list[tuple[str, Took]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is done within it counts for a part (solve, decode, verify, encode); parts do not nest."""
        end = self._events() if self._cuda else self._clock()
        try:
            yield
        finally:
            self._taken.append((name, end()))

    def read(self) -> Cost:
        """The seconds of each part since the last reading."""
        seconds: dict[str, Any] = defaultdict(float)
        for name, took in self._taken:
            seconds[f"{name}_seconds"] += took()
        self._taken.clear()
        return Cost(**seconds)

    @staticmethod
    def _clock() -> Callable[[], Took]:
        begun = time.perf_counter()

        def end() -> Took:
            took = time.perf_counter() - begun
            return lambda: took

        return end

    @staticmethod
    def _events() -> Callable[[], Took]:
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()

        def end() -> Took:
            ended.record()

            def took() -> float:
                ended.synchronize()
                return begun.elapsed_time(ended) / 1000

            return took

        return end
