"""Names of classes, and the ids that users mean by them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

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
