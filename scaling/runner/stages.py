"""From a ladder to the searches that climb it: one for all rungs, or for each rung the largest that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scaling.budget import Budget
from scaling.noise import NoiseSpace
from scaling.protocols import Search


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
    scales = getattr(search, "scales", None)
    if scales is None:
        return [Stage(search, tuple(enumerate(caps)))]
    by_size: dict[int, list[tuple[int, int]]] = {}
    for index, cap in enumerate(caps):
        by_size.setdefault(_largest(search, scales, space, cap), []).append((index, cap))
    return [Stage(_sized(search, scales, size), tuple(rungs)) for size, rungs in by_size.items()]


def _sized(search: Any, scales: str, size: int) -> Any:
    return dataclasses.replace(search, **{scales: size})


def _largest(search: Any, scales: str, space: NoiseSpace, cap: int) -> int:
    """The largest size whose cost is within the cap; a ValueError says what the smallest costs."""
    cost: Callable[[int], int] = lambda size: _sized(search, scales, size).cost(space)  # noqa: E731
    least = getattr(search, "least", 1)
    if cost(least) > cap:
        raise ValueError(
            f"{type(search).__name__} cannot run within {cap} NFE per condition: "
            f"with {scales}={least} it costs {cost(least)}; raise the budget to that"
        )
    low, high = least, least + 1
    while cost(high) <= cap:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= cap else (low, middle)
    return low
