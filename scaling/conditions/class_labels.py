"""A stream of class labels, at random as in the paper or balanced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from typing import Any, Literal

from scaling import checks
from scaling.conditions.class_names import class_ids
from scaling.noise import keyed_generator
from scaling.protocols import Condition

BLOCK = 1024  # labels drawn from one key; part of what a seed means


@dataclass(frozen=True)
class ClassLabels:
    """Labels of classes, prefix-stable: a larger count only appends.

    Equal labels are copies 0, 1, ... and so have their own streams of noises.

    Args:
        count: how many labels, at least 1.
        classes: how many classes the model knows.
        order: `random` draws each label alone (Ma et al. 2501.09732, section 3.2: 50,000 at random); `balanced` deals
            every class once, in random order, before any comes again.
        seed: of the order.
        subset: the classes that are dealt, by id or name; one alone need not be a list. None: all.

    Raises:
        ValueError: names the parameter, its value and the nearest valid one.
    """

    count: int
    classes: int = 1000
    order: Literal["random", "balanced"] = "random"
    seed: int = 0
    subset: Sequence[int | str] | int | str | None = None

    def __post_init__(self) -> None:
        """Checks the parameters."""
        checks.whole_from(1, **{"conditions.count": self.count, "conditions.classes": self.classes})
        checks.whole(**{"conditions.seed": self.seed})
        checks.one_of(("random", "balanced"), **{"conditions.order": self.order})
        if len(set(self.ids)) < len(self.ids) or not self.ids:
            raise ValueError(f"conditions.subset={self.subset} must name each class once, and at least one")

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """The classes that are dealt; the same subset in another order is another stream."""
        if self.subset is None:
            return tuple(range(self.classes))
        alone = isinstance(self.subset, int | str)
        return class_ids(self.classes, (self.subset,) if alone else self.subset)  # type: ignore[arg-type]

    def __len__(self) -> int:
        """How many conditions there are."""
        return self.count

    def __iter__(self) -> Iterator[Condition]:
        """The conditions in order, the same each time."""
        seen: Counter[int] = Counter()
        for label in islice(self._labels(), self.count):
            yield Condition(class_label=label, copy=seen[label])
            seen[label] += 1

    def identity(self) -> dict[str, Any]:
        """Order, seed and the classes that are dealt."""
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
