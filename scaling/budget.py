"""What a search may spend, and the account of what it spent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

from scaling import checks
from scaling.protocols import Schedule
from scaling.sampling import Sampler

UNITS = ("nfe", "candidates", "gflops", "seconds")  # of which a budget's ladder is in one


@dataclass(frozen=True)
class Cost:
    """What was computed; `nfe` counts guidance once, `forwards` as run (recomputed ones included).

    Of a condition it is what its search would cost alone; of a process it has padding in it, the rows, and the seconds
    that each part of the work took, which are measured and compare with nothing.
    """

    nfe: int = 0
    forwards: int = 0
    backwards: int = 0
    decodes: int = 0
    verifier_calls: int = 0
    padded_rows: int = 0  # that filled a batch up
    rows: int = 0  # that were denoised, without padding
    solve_seconds: float = field(default=0.0, compare=False)
    decode_seconds: float = field(default=0.0, compare=False)
    verify_seconds: float = field(default=0.0, compare=False)
    encode_seconds: float = field(default=0.0, compare=False)

    @property
    def counts(self) -> dict[str, int]:
        """What was counted, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.compare}

    @property
    def seconds(self) -> dict[str, float]:
        """What was measured, by the part of the work: solve, decode, verify, encode."""
        return {f.name.removesuffix("_seconds"): getattr(self, f.name) for f in fields(self) if not f.compare}

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Prices:
    """What each thing that is counted costs, in one unit: GFLOPs or seconds."""

    forward: float  # of one row of the search's network; a backward pass counts as two
    decode: float = 0.0  # of one image
    verify: float = 0.0  # of one image by the guiding verifier
    encode: float = 0.0  # of one condition
    final_forward: float | None = None  # where winners are solved again by another network than the search's
    final_per_call: int = 1  # forwards of one NFE of that second solve
    per_call: int = 1  # forwards of one NFE of the search
    images: int = 1  # that are decoded for a score

    def search(self, nfe: int, backwards: int, scored: int) -> float:
        """What a search costs a condition that has made so many calls and has had so many candidates scored."""
        solve = (nfe + 2 * backwards) * self.per_call * self.forward
        return solve + scored * (self.images * self.decode + self.verify) + self.encode

    def by_part(self, counts: Mapping[str, float]) -> dict[str, float]:
        """What a condition costs, by the part of the work.

        `counts` are those of a `Cost`, and `resolved_nfe`: the NFE by the network that solves winners again.
        """
        solve = counts["forwards"] * self.forward
        if self.final_forward is not None:
            solve += counts["resolved_nfe"] * self.final_per_call * (self.final_forward - self.forward)
        return {
            "solve": solve,
            "backward": 2 * counts["backwards"] * self.forward,
            "decode": counts["decodes"] * self.decode,
            "verify": counts["verifier_calls"] * self.verify,
            "encode": self.encode,
        }


@dataclass(frozen=True)
class Budget:
    """A ladder of rungs in search NFE per condition; the final solve of the winner comes on top.

    One of the four ladders is given: `nfe`, `candidates`, `gflops` or `seconds`; a number is a ladder of one rung. The
    last two are of a condition's whole search, its decoding, judging and encoding included.

    Args:
        nfes_per_iter: NFE of a whole solve during the search, at least 1.
        final_nfe: of the winner's second solve, at least 1; where it is `nfes_per_iter` (or None) it costs nothing.
        nfe: rising, the first at least `nfes_per_iter`.
        candidates: whole solves, rising, the first at least 1.
        final_from: the time in (0, 1) (1 noise, 0 clean) from which the final solve goes on with the state that the
            search's own solve of the winner had there. None: it starts with the winner's noise.
        gflops: rising, above 0, by prices that are counted.
        seconds: rising, above 0, by prices that are measured.

    Raises:
        ValueError: names the offending rung, before any model is loaded.
    """

    nfes_per_iter: int
    final_nfe: int | None = None
    nfe: Sequence[int] | int | None = None
    candidates: Sequence[int] | int | None = None
    final_from: float | None = None
    gflops: Sequence[float] | float | None = None
    seconds: Sequence[float] | float | None = None

    def __post_init__(self) -> None:
        checks.whole_from(1, **{"budget.nfes_per_iter": self.nfes_per_iter, "budget.final_nfe": self.final})
        if self.final_from is not None and not 0 < self.final_from < 1:
            raise ValueError(f"budget.final_from={self.final_from} must lie between 0 and 1; 1 is noise, 0 clean")
        given = [name for name in UNITS if getattr(self, name) is not None]
        if len(given) != 1:
            which = " and ".join(given) or "none"
            raise ValueError(f"a budget needs one of budget.{', budget.'.join(UNITS)}, not {which}")
        (name,) = given
        ladder = self.caps
        least = {"candidates": 1, "nfe": self.nfes_per_iter}.get(name, 0)
        if not ladder or ladder[0] < least or ladder[0] <= 0:
            raise ValueError(
                f"budget.{name}={list(ladder)} starts under one candidate; the least is {least}"
                + (f" (nfes_per_iter={self.nfes_per_iter})" if name == "nfe" else "")
            )
        for low, high in pairwise(ladder):
            if high <= low:
                raise ValueError(f"budget.{name}={list(ladder)} must rise, but {high} follows {low}")

    @property
    def unit(self) -> str:
        """What the ladder counts: candidates, nfe, gflops or seconds."""
        return next(name for name in UNITS if getattr(self, name) is not None)

    @property
    def caps(self) -> tuple[float, ...]:
        """The rungs as given, rising; a ValueError names one that is no number of its unit."""
        value: Any = getattr(self, self.unit)
        several = isinstance(value, Sequence) and not isinstance(value, str)
        values: tuple[Any, ...] = tuple(value) if several else (value,)
        whole = self.unit in ("candidates", "nfe")
        for rung in values:
            number = isinstance(rung, int if whole else int | float) and not isinstance(rung, bool)
            if not number or not math.isfinite(rung):
                raise ValueError(f"a budget's rungs are {'whole ' * whole}numbers, not {rung!r}")
        return values

    @property
    def rungs(self) -> tuple[int, ...]:
        """Search NFE per condition, rising; of a ladder that needs no prices."""
        assert self.unit in ("candidates", "nfe"), "a ladder in GFLOPs or seconds is fitted by prices"
        return tuple(int(cap) * (self.nfes_per_iter if self.unit == "candidates" else 1) for cap in self.caps)

    @property
    def final(self) -> int:
        """NFE of the winner's final solve: `final_nfe`, or those of a candidate."""
        return self.nfes_per_iter if self.final_nfe is None else self.final_nfe

    def check(self, sampler: Sampler, last: Schedule | None = None) -> None:
        """A ValueError where the sampler cannot spend nfes_per_iter or final_nfe exactly.

        Nor where `last`, the schedule of a winner's own solve (None: there is none), cannot cut it into as many steps.
        """
        for name, nfe in (("nfes_per_iter", self.nfes_per_iter), ("final_nfe", self.final)):
            try:
                steps = sampler.steps(nfe)
                if name == "final_nfe" and last is not None:
                    last.grid(steps)
            except ValueError as error:
                raise ValueError(f"budget.{name}: {error}") from None
