"""From a ladder to the searches that climb it: one for all rungs, or for each rung the largest that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.budget import Budget
from scaling.noise import NoiseSpace
from scaling.protocols import Search, SearchTraits

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
    caps, traits = budget.rungs, SearchTraits.of(search)
    if not traits.resolve_winner and budget.final != budget.nfes_per_iter:
        caps = tuple(cap + budget.final for cap in caps)  # no second solve: the whole price of the rung is its own
    parameter = traits.size_parameter
    if parameter is None:
        cheapest = budget.nfes_per_iter * (2 if "gradient" in traits.requires else 1)
    else:
        cheapest = _sized(search, parameter, 1).cost(space)
    fitting = [cap for cap in caps if cap >= cheapest]  # rungs that are too low for it have no point on its curve
    if not fitting:
        size = f" ({parameter}=1)" if parameter else ""
        raise ValueError(
            f"{type(search).__name__} costs at least {cheapest} NFE per condition{size}; the budget ends at {caps[-1]}"
        )
    if parameter is None:
        return [Stage(search, tuple(enumerate(fitting)))]
    by_size: dict[int, list[tuple[int, int]]] = {}
    for index, cap in enumerate(fitting):
        by_size.setdefault(_largest(search, parameter, space, cap), []).append((index, cap))
    return [Stage(_sized(search, parameter, size), tuple(rungs)) for size, rungs in by_size.items()]


def solves_again(search: Search, nfes_per_iter: int, final_nfe: int) -> bool:
    """Whether winners get a solve of their own; else the search's own samples are final."""
    return final_nfe != nfes_per_iter and SearchTraits.of(search).resolve_winner


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


def _sized(search: Any, parameter: str, size: int) -> Any:
    return dataclasses.replace(search, **{parameter: size})


def _largest(search: Any, parameter: str, space: NoiseSpace, cap: int) -> int:
    """The largest size whose cost is within the cap; that of 1 is."""
    cost: Callable[[int], int] = lambda size: _sized(search, parameter, size).cost(space)  # noqa: E731
    low, high = 1, 2
    while cost(high) <= cap:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= cap else (low, middle)
    return low
