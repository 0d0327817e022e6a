"""What parameters may be; every error is one line that names the parameter, its value and what it may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any


def whole_from(least: int, **values: Any) -> None:
    """A ValueError where a value is not a whole number or lies under `least`."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r} must be a whole number of at least {least}")


def whole(**values: Any) -> None:
    """A ValueError where a value is not a whole number."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{name}={value!r} must be a whole number")


def within(low: float, high: float, **values: Any) -> None:
    """A ValueError where a value is no number or lies outside [low, high]; the nearest valid one is named."""
    for name, value in values.items():
        _number(name, value)
        if not low <= value <= high:
            nearest = high if value > high else low
            raise ValueError(f"{name}={value!r} must lie in [{low:g}, {high:g}]; the nearest is {nearest:g}")


def above(low: float, **values: Any) -> None:
    """A ValueError where a value is no number or not greater than `low`."""
    for name, value in values.items():
        _number(name, value)
        if not value > low:
            raise ValueError(f"{name}={value!r} must be greater than {low:g}")


def one_of(choices: Sequence[str], **values: Any) -> None:
    """A ValueError where a value is none of the choices."""
    for name, value in values.items():
        if value not in choices:
            raise ValueError(f"{name}={value!r} is none of {', '.join(choices)}")


def text(**values: Any) -> None:
    """A ValueError where a value is no text, with how to type one that a command line takes for something else."""
    for name, value in values.items():
        if value is None:
            raise ValueError(f"{name} is null, and a text is needed")
        if not isinstance(value, str):
            shown = value if isinstance(value, int) else "..."  # of others it is not known how they were typed
            shown = str(shown).lower() if isinstance(value, bool) else shown
            raise ValueError(
                f"{name}={value!r} was read as {type(value).__name__}, and a text is needed: quote it, as "
                f"{name}='\"{shown}\"'"
            )
        if not value.strip():
            raise ValueError(f"{name}={value!r} is empty")


def _number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name}={value!r} must be a number")


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """All values of nested dictionaries and lists, each under its dotted key."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple):
        for place, value in enumerate(node):
            yield from leaves(value, f"{key}.{place}")
    else:
        yield key, node


def holds(node: Any, path: Sequence[str]) -> bool:
    """Whether nested dictionaries have a value under this path of keys."""
    for key in path:
        if not isinstance(node, Mapping) or key not in node:
            return False
        node = node[key]
    return True
