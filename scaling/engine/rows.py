"""How many rows go through a device at a time: fewer for good where a batch does not fit into its memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

from scaling.budget import Cost
from scaling.engine.requests import Answers, Columns

Stage = Literal["denoise", "decode"]


class Rows:
    """Takes a batch of `batch_size` rows in parts of one size each.

    Decoding and scoring has a limit of its own, since images need more memory than latents.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._limits: dict[Stage, int] = {"denoise": batch_size, "decode": batch_size}
        self._expect: Callable[[Cost], None] = lambda cost: None

    @property
    def denoise_batch(self) -> int:
        """Rows that go through the network at a time."""
        return self._limits["denoise"]

    @property
    def decode_batch(self) -> int:
        """Rows that are decoded and scored at a time."""
        return self._limits["decode"]

    @property
    def effective_batch(self) -> int:
        """The fewest rows that go at a time; `batch_size` where all fits into memory."""
        return min(self._limits.values())

    @contextmanager
    def telling(self, expect: Callable[[Cost], None]) -> Iterator[None]:
        """Within it `expect` is told what every part will cost before it is computed."""
        self._expect = expect
        try:
            yield
        finally:
            self._expect = lambda cost: None

    def in_parts(
        self,
        stage: Stage,
        count: int,
        compute: Callable[[slice], Answers],
        cost_of: Callable[[slice], Cost] = lambda part: Cost(),
    ) -> Answers:
        """The answers for all of `count` rows, and what they took with all that was computed in vain.

        `cost_of` says beforehand what a part will cost. A torch.OutOfMemoryError where not even one row fits.
        """
        cost = Cost()
        while True:
            rows, columns = self._limits[stage], list[Columns]()
            try:
                for start in range(0, count, rows):
                    part = slice(start, min(start + rows, count))
                    self._expect(cost_of(part))
                    answers = compute(part)
                    cost += answers.cost
                    columns.append(answers.columns)
            except torch.OutOfMemoryError:
                if rows == 1:
                    raise
            else:
                whole = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
                reduced = self.effective_batch if self.effective_batch < self.batch_size else None
                return Answers(whole, cost, reduced)
            self._halve(stage)

    def _halve(self, stage: Stage) -> None:
        is_first = self.effective_batch == self.batch_size
        self._limits[stage] //= 2
        torch.cuda.empty_cache()
        if is_first:
            print(
                f"out of memory at {self.batch_size} rows: going on with {self.effective_batch}; results are the same "
                "within rounding, not bit for bit",
                file=sys.stderr,
                flush=True,
            )
