"""What a search may spend, and the account of what it spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from scaling import checks
from scaling.sampling import Sampler


@dataclass(frozen=True)
class Cost:
    """What was computed; `nfe` counts guidance once, `forwards` as run (recomputed ones included).

    Of a condition it is what its search would cost alone; of a process it has padding in it, and the rows.
    """

    nfe: int = 0
    forwards: int = 0
    backwards: int = 0
    decodes: int = 0
    verifier_calls: int = 0
    padded_rows: int = 0  # that filled a batch up
    rows: int = 0  # that were denoised, without padding

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Budget:
    """A ladder of rungs in search NFE per condition; the final solve of the winner comes on top.

    Give either `nfe` or `candidates` (whole solves of `nfes_per_iter`). `final_nfe` is the winner's second solve; equal
    to `nfes_per_iter` it costs nothing. ValueErrors name the offending rung before any model is loaded.
    """

    nfes_per_iter: int
    final_nfe: int | None = None
    nfe: Sequence[int] | int | None = None
    candidates: Sequence[int] | int | None = None

    def __post_init__(self) -> None:
        checks.whole_from(1, **{"budget.nfes_per_iter": self.nfes_per_iter, "budget.final_nfe": self.final})
        if (self.nfe is None) == (self.candidates is None):
            given = "both" if self.nfe is not None else "neither"
            raise ValueError(f"a budget needs one of budget.nfe and budget.candidates, not {given}")
        name = "candidates" if self.nfe is None else "nfe"
        ladder = self._ladder(self.candidates if self.nfe is None else self.nfe)
        least = 1 if self.nfe is None else self.nfes_per_iter
        if not ladder or ladder[0] < least:
            raise ValueError(
                f"budget.{name}={list(ladder)} starts under one candidate; the least is {least}"
                + (f" (nfes_per_iter={self.nfes_per_iter})" if name == "nfe" else "")
            )
        for low, high in pairwise(ladder):
            if high <= low:
                raise ValueError(f"budget.{name}={list(ladder)} must rise, but {high} follows {low}")

    @property
    def rungs(self) -> tuple[int, ...]:
        """Search NFE per condition, rising."""
        if self.nfe is not None:
            return self._ladder(self.nfe)
        return tuple(c * self.nfes_per_iter for c in self._ladder(self.candidates))

    @property
    def final(self) -> int:
        """NFE of the winner's final solve: `final_nfe`, or those of a candidate."""
        return self.nfes_per_iter if self.final_nfe is None else self.final_nfe

    def check(self, sampler: Sampler) -> None:
        """A ValueError where the sampler cannot spend nfes_per_iter or final_nfe exactly."""
        for name, nfe in (("nfes_per_iter", self.nfes_per_iter), ("final_nfe", self.final)):
            try:
                sampler.steps(nfe)
            except ValueError as error:
                raise ValueError(f"budget.{name}: {error}") from None

    @staticmethod
    def _ladder(value: Sequence[int] | int | None) -> tuple[int, ...]:
        several = isinstance(value, Sequence) and not isinstance(value, str)
        values: tuple[Any, ...] = tuple(value or ()) if several else (value,)  # type: ignore[arg-type]
        for rung in values:
            if isinstance(rung, bool) or not isinstance(rung, int):
                raise ValueError(f"a budget's rungs are whole numbers, not {rung!r}")
        return values
