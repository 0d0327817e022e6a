"""From a budget's rungs to the searches that reach them: one for all rungs, or for each the largest that fits."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

from scaling.budget import Budget, Prices
from scaling.engine.made_up import Asked, asked
from scaling.noise import NoiseSpace
from scaling.protocols import Search
from scaling.traits import SearchTraits

ORDERS = ("conditions", "budget")  # what is finished first: a block of conditions, or a rung of all of them


@dataclass(frozen=True, order=True)
class Rung:
    """A point of the curve."""

    index: int  # from 0
    nfe: int  # search NFE that it may spend on a condition


@dataclass(frozen=True)
class FittedSearch:
    """One search, in its size, and the rungs that its stream answers."""

    search: Search
    rungs: tuple[Rung, ...]

    @property
    def nfe(self) -> int:
        """Search NFE of the highest rung, which the search may spend on a condition."""
        return max(rung.nfe for rung in self.rungs)

    @cached_property
    def traits(self) -> SearchTraits:
        """What the search says of itself."""
        return SearchTraits.of(self.search)

    def up_to(self, rungs: int) -> FittedSearch:
        """The same with those of its rungs that are among the first of the ladder."""
        return FittedSearch(self.search, tuple(rung for rung in self.rungs if rung.index < rungs))


def fit(search: Search, budget: Budget, space: NoiseSpace, prices: Prices | None = None) -> list[FittedSearch]:
    """An anytime search serves every rung from one stream; a sized one is fitted to each.

    `prices` are those of a ladder in GFLOPs or seconds, whose rungs are what a search may spend that long: exact where
    what it asks for follows no scores. Rungs that are too low for it have no point on its curve, nor those that buy no
    more than the one before; a ValueError where all are.
    """
    traits = SearchTraits.of(search)
    nfes = budget.rungs if prices is None else _affordable(search, budget, space, prices)
    if not traits.resolve_winner and budget.final != budget.nfes_per_iter:
        nfes = tuple(nfe + budget.final for nfe in nfes)  # a search without a second solve may spend its NFE, too
    parameter = traits.size_parameter
    if parameter is None:
        cheapest = budget.nfes_per_iter * (2 if "gradient" in traits.requires else 1)
    else:
        cheapest = _sized(search, parameter, 1).cost(space)
    fitting = [nfe for nfe in nfes if nfe >= cheapest]
    if not fitting:
        size = f" ({parameter}=1)" if parameter else ""
        raise ValueError(
            f"{type(search).__name__} costs at least {cheapest} NFE per condition{size}; the budget ends at {nfes[-1]}"
        )
    rungs = [Rung(index, nfe) for index, nfe in enumerate(fitting)]
    if parameter is None:
        return [FittedSearch(search, tuple(rungs))]
    by_size: dict[int, list[Rung]] = {}
    for rung in rungs:
        by_size.setdefault(_largest(search, parameter, space, rung.nfe), []).append(rung)
    return [FittedSearch(_sized(search, parameter, size), tuple(sized)) for size, sized in by_size.items()]


def _affordable(search: Any, budget: Budget, space: NoiseSpace, prices: Prices) -> tuple[int, ...]:
    """Search NFE that each rung of a priced ladder buys, those that buy something more."""
    parameter, last = SearchTraits.of(search).size_parameter, budget.caps[-1]
    bought: list[tuple[float, int]] = []  # (price, NFE) after each proposal, or of each size
    price = 0.0
    if parameter is None:
        sums: Iterable[Asked] = asked(search, space)
    else:
        sums = (deque(asked(_sized(search, parameter, size), space), maxlen=1)[0] for size in count(1))
    for total in sums:
        price = prices.search(total.nfe, total.backwards, total.scored)
        if price > last:
            break
        bought.append((price, total.nfe))
    rungs = [max((nfe for price, nfe in bought if price <= cap), default=0) for cap in budget.caps]
    if not any(rungs):
        ladder = f"budget.{budget.unit}={list(budget.caps)}"
        raise ValueError(f"{ladder} ends under what {type(search).__name__} costs at least, {price:.3g} a condition")
    return tuple(nfe for nfe in dict.fromkeys(rungs) if nfe)


def solves_again(traits: SearchTraits, nfes_per_iter: int, final_nfe: int) -> bool:
    """Whether winners get a solve of their own; else the search's own samples are final."""
    return final_nfe != nfes_per_iter and traits.resolve_winner


def begins_at_noise(space: NoiseSpace) -> bool:
    """Whether whole solves begin at time 1; with diffusers' `leading` spacing the first time depends on the steps."""
    return float(space.times[0]) == 1.0


def rungs_of(searches: Sequence[FittedSearch]) -> list[Rung]:
    """All rungs, rising."""
    return sorted(rung for fitted in searches for rung in fitted.rungs)


def _sized(search: Any, parameter: str, size: int) -> Any:
    return dataclasses.replace(search, **{parameter: size})


def _largest(search: Any, parameter: str, space: NoiseSpace, nfe: int) -> int:
    """The largest size whose cost is within these NFE; that of 1 is."""
    cost: Callable[[int], int] = lambda size: _sized(search, parameter, size).cost(space)  # noqa: E731
    low, high = 1, 2
    while cost(high) <= nfe:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= nfe else (low, middle)
    return low
