"""From a ladder to the searches that climb it: one for all rungs, or for each rung the largest that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.budget import Budget
from scaling.noise import NoiseSpace
from scaling.protocols import Search

ORDERS = ("conditions", "budget")  # what is finished first: a block of conditions, or a rung of all of them


@dataclass(frozen=True)
class Stage:
    """One search and the rungs (index, cap in search NFE) that it answers."""

    search: Search
    rungs: tuple[tuple[int, int], ...]

    @property
    def cap(self) -> int:
        return max(cap for _, cap in self.rungs)


def stages(search: Search, budget: Budget, space: NoiseSpace) -> list[Stage]:
    """An anytime search serves every rung from one stream; a sized one is fitted to each."""
    caps = budget.rungs
    if not getattr(search, "resolve", True) and budget.final != budget.nfes_per_iter:
        caps = tuple(cap + budget.final for cap in caps)  # no second solve: the whole price of the rung is its own
    scales, least = getattr(search, "scales", None), getattr(search, "least", 1)
    if scales is None:
        cheapest = budget.nfes_per_iter * (2 if "gradient" in getattr(search, "needs", ()) else 1)
    else:
        cheapest = _sized(search, scales, least).cost(space)
    fitting = [cap for cap in caps if cap >= cheapest]  # rungs that are too low for it have no point on its curve
    if not fitting:
        size = f" ({scales}={least})" if scales else ""
        raise ValueError(
            f"{type(search).__name__} costs at least {cheapest} NFE per condition{size}; the budget ends at {caps[-1]}"
        )
    if scales is None:
        return [Stage(search, tuple(enumerate(fitting)))]
    by_size: dict[int, list[tuple[int, int]]] = {}
    for index, cap in enumerate(fitting):
        by_size.setdefault(_largest(search, scales, space, cap), []).append((index, cap))
    return [Stage(_sized(search, scales, size), tuple(rungs)) for size, rungs in by_size.items()]


def solves_again(search: Search, nfes_per_iter: int, final_nfe: int) -> bool:
    """Whether winners get a solve of their own; else the search's own samples are final."""
    return final_nfe != nfes_per_iter and getattr(search, "resolve", True)


def climbs(ladder: Sequence[Stage], order: str) -> list[list[Stage]]:
    """The ladder in one go, or (`budget`) longer by a rung each time: the journal answers what was climbed before."""
    count = len(caps_of(ladder))
    return [_up_to(ladder, top) for top in (range(1, count + 1) if order == "budget" else [count])]


def caps_of(ladder: Sequence[Stage]) -> list[int]:
    """Search NFE of all rungs, rising."""
    return [cap for _, cap in sorted(rung for stage in ladder for rung in stage.rungs)]


def _up_to(ladder: Sequence[Stage], top: int) -> list[Stage]:
    """The searches that answer the first `top` rungs, and those rungs alone."""
    below = [Stage(s.search, tuple(rung for rung in s.rungs if rung[0] < top)) for s in ladder]
    return [stage for stage in below if stage.rungs]


def _sized(search: Any, scales: str, size: int) -> Any:
    return dataclasses.replace(search, **{scales: size})


def _largest(search: Any, scales: str, space: NoiseSpace, cap: int) -> int:
    """The largest size whose cost is within the cap; the least is."""
    cost: Callable[[int], int] = lambda size: _sized(search, scales, size).cost(space)  # noqa: E731
    least = getattr(search, "least", 1)
    low, high = least, least + 1
    while cost(high) <= cap:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= cap else (low, middle)
    return low
