"""Tuples, lists and dictionaries of tensors, and how they grow with the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

# a tree of pairs: ("rows", dimension) and ("same", None) of tensors, ("list", None) (an entry a row), ("fields", trees)
Growth = Any


def mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The tree with its tensors changed."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        values = {name: mapped(value, change) for name, value in tree.items()}
        return values if type(tree) is dict else type(tree)(**values)
    if isinstance(tree, list | tuple):
        return type(tree)(mapped(value, change) for value in tree)
    return tree


def growth(one: Any, two: Any) -> Growth | None:
    """How a tree for one row becomes that for more, from those for one and two rows of the same; None: it is not clear.

    A dimension that doubles holds rows; a list that doubles holds an entry a row.
    """
    try:
        return _growth(one, two)
    except ValueError:
        return None


def grown(one: Any, how: Growth, rows: int) -> Any:
    """A tree for one row, as that for `rows` equal ones."""
    if rows == 1:
        return one
    if isinstance(one, Tensor):
        return one if how[0] == "same" else one.repeat_interleave(rows, how[1])
    if isinstance(one, Mapping):
        values = {name: grown(value, how[1][name], rows) for name, value in one.items()}
        return values if type(one) is dict else type(one)(**values)
    if isinstance(one, list | tuple):
        if how[0] == "list":
            return type(one)(value for value in one for _ in range(rows))
        return type(one)(grown(value, part, rows) for value, part in zip(one, how[1], strict=True))
    return one


def _growth(one: Any, two: Any) -> Any:
    if isinstance(one, Tensor):
        return _dimension(one, two)
    if isinstance(one, Mapping):
        return "fields", {name: _growth(value, two[name]) for name, value in one.items()}
    if isinstance(one, list | tuple):
        if len(one) and len(two) == 2 * len(one):
            return "list", None
        if len(two) != len(one):
            raise ValueError("neither fields nor an entry a row")
        return "fields", [_growth(a, b) for a, b in zip(one, two, strict=True)]
    if type(one) is not type(two) or one != two:
        raise ValueError("a value that rows change")
    return "same", None


def _dimension(one: Tensor, two: Tensor) -> tuple[str, int | None]:
    if one.shape == two.shape:
        return "same", None
    places = [i for i, (a, b) in enumerate(zip(one.shape, two.shape, strict=True)) if a != b]
    if len(places) != 1 or two.shape[places[0]] != 2 * one.shape[places[0]]:
        raise ValueError("no dimension of rows")
    return "rows", places[0]


def alike(one: Any, two: Any, tolerance: float = 1e-3) -> bool:
    """Whether two trees hold the same, tensors within a tolerance of their largest entry."""
    if isinstance(one, Tensor):
        scale = max(float(one.float().abs().max()), 1.0) if one.numel() else 1.0
        return one.shape == two.shape and bool(((one.float() - two.float()).abs() <= tolerance * scale).all())
    if isinstance(one, Mapping):
        return all(alike(value, two[name], tolerance) for name, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(alike(a, b, tolerance) for a, b in zip(one, two, strict=True))
    return bool(one == two)


def plain(tree: Any) -> bool:
    """Whether a tree is of built-in types and tensors, which a file may hold."""
    if type(tree) is dict:
        return all(plain(value) for value in tree.values())
    if type(tree) in (list, tuple):
        return all(plain(value) for value in tree)
    return tree is None or type(tree) in (Tensor, str, int, float, bool)


def to_cpu(tree: Any) -> Any:
    """A copy of a tree, its tensors detached and on the CPU."""
    return mapped(tree, lambda value: value.detach().to("cpu", copy=True))


def to_device(tree: Any, device: torch.device) -> Any:
    """A tree, its tensors on that device."""
    return mapped(tree, lambda value: value.to(device))
