"""A stream of class labels, at random as in the paper or balanced; classes by their ids or names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import count, islice
from typing import Any, Literal

from scaling import checks
from scaling.noise import keyed_generator
from scaling.protocols import Condition

BLOCK = 1024  # labels drawn from one key; part of what a seed means
FASHION_MNIST = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


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


def class_names(classes: int) -> tuple[str, ...]:
    """The names of Fashion-MNIST (10 classes) or ImageNet (1000, as torchvision spells them); a ValueError else."""
    if classes == len(FASHION_MNIST):
        return FASHION_MNIST
    if classes == 1000:
        from torchvision.models import get_weight

        return tuple(get_weight("ResNet50_Weights.IMAGENET1K_V2").meta["categories"])
    raise ValueError(f"no names are known for {classes} classes, only for 10 (Fashion-MNIST) and 1000 (ImageNet)")


def class_ids(classes: int, wanted: Sequence[int | str]) -> tuple[int, ...]:
    """Ids in the order they were asked for.

    Args:
        classes: how many there are.
        wanted: ids from 0, or names: spelled exactly, else in any case where only one class is meant.

    Raises:
        ValueError: names the item and the nearest class, or both classes that it may mean.
    """
    return tuple(_class_id(classes, item) for item in wanted)


def _class_id(classes: int, item: int | str) -> int:
    if isinstance(item, int) and not isinstance(item, bool):
        if not 0 <= item < classes:
            raise ValueError(f"class id {item} is not in 0 to {classes - 1}")
        return item
    if not isinstance(item, str):
        raise ValueError(f"{item!r} is neither the id of a class nor its name")
    names = class_names(classes)
    if item in names:
        return names.index(item)
    lowered = [name.lower() for name in names]
    meant = [k for k, name in enumerate(lowered) if name == item.lower()]
    if not meant:
        close = get_close_matches(item.lower(), lowered, n=1, cutoff=0.0)[0]
        raise ValueError(f"no class is called {item!r}; the nearest is {names[lowered.index(close)]!r}")
    if len(meant) > 1:
        raise ValueError(f"{item!r} may be {' or '.join(f'{names[k]!r} (class {k})' for k in meant)}: spell it so")
    return meant[0]
