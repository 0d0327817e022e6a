"""What a search's parameters may be; every error names the parameter, its value and what it may be."""

from __future__ import annotations

from collections.abc import Sequence


def whole_from(least: int, **values: int) -> None:
    """A ValueError where a value is not a whole number or lies under `least`."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r} must be a whole number of at least {least}")


def within(low: float, high: float, **values: float) -> None:
    """A ValueError where a value lies outside [low, high]; the nearest valid one is named."""
    for name, value in values.items():
        if not low <= value <= high:
            nearest = high if value > high else low
            raise ValueError(f"{name}={value!r} must lie in [{low:g}, {high:g}]; the nearest is {nearest:g}")


def above(low: float, **values: float) -> None:
    """A ValueError where a value is not greater than `low`."""
    for name, value in values.items():
        if not value > low:
            raise ValueError(f"{name}={value!r} must be greater than {low:g}")


def one_of(choices: Sequence[str], **values: str) -> None:
    """A ValueError where a value is none of the choices."""
    for name, value in values.items():
        if value not in choices:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(choices)}")
