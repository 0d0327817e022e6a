"""A stream of class labels, at random as in the paper or balanced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from typing import Any, Literal

from scaling.conditions.class_names import class_ids
from scaling.noise import keyed_generator
from scaling.protocols import Condition

BLOCK = 1024  # labels drawn from one key; part of what a seed means


@dataclass(frozen=True)
class ClassLabels:
    """`count` labels of `classes`, prefix-stable: a larger count only appends.

    `order="random"` draws each label alone (Ma et al. 2501.09732: 50,000 at random); `"balanced"` deals every class
    once, in random order, before any comes again. `subset` keeps some classes only, by id or name. Equal labels are
    copies 0, 1, ... and so have their own streams of noises.
    """

    count: int
    classes: int = 1000
    order: Literal["random", "balanced"] = "random"
    seed: int = 0
    subset: Sequence[int | str] | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"conditions.count={self.count}; the least is 1")
        if self.order not in ("random", "balanced"):
            raise ValueError(f"conditions.order={self.order!r} is neither 'random' nor 'balanced'")
        if len(set(self.ids)) < len(self.ids) or not self.ids:
            raise ValueError(f"conditions.subset={list(self.subset or ())} must name each class once, and at least one")

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """The classes that are dealt; the same subset in another order is another stream."""
        return tuple(range(self.classes)) if self.subset is None else class_ids(self.classes, self.subset)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Condition]:
        seen: Counter[int] = Counter()
        for label in islice(self._labels(), self.count):
            yield Condition(class_label=label, copy=seen[label])
            seen[label] += 1

    def identity(self) -> dict[str, Any]:
        return {
            "conditions": "class_labels",
            "order": self.order,
            "seed": self.seed,
            "ids": list(self.ids),
        }

    def _labels(self) -> Iterator[int]:
        for block in count():
            generator = keyed_generator(self.seed, "class_labels", self.order, block)
            if self.order == "balanced":
                places = generator.permutation(len(self.ids))
            else:
                places = generator.integers(len(self.ids), size=BLOCK)
            yield from (self.ids[place] for place in places)
