"""Which attributes of an object are its parameters, those that decide what it answers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass
from typing import Any

_ADDED = "added"


def added(default: Any) -> Any:
    """A dataclass's field that a later version added: at its default it is no part of the identity.

    So what was finished before keeps its name.
    """
    return field(default=default, metadata={_ADDED: True})


def left_at_default(kind: Any, given: Mapping[str, Any]) -> frozenset[str]:
    """Which of the given parameters a class got in a later version (`added`) and has at their default here."""
    later = [each for each in fields(kind) if _ADDED in each.metadata] if is_dataclass(kind) else []
    return frozenset(each.name for each in later if each.name in given and given[each.name] == each.default)


def parameters_of(part: Any, own_word: bool) -> dict[str, Any]:
    """A dataclass's fields; else the attributes named like the constructor's parameters and all public ones.

    Where a parameter is kept under another name, all attributes. With a word of its own an object may count in public.
    """
    how: frozenset[str] = getattr(type(part), "execution_only", frozenset())
    if is_dataclass(part):
        named_by = {each.name: getattr(part, each.name) for each in fields(part) if each.name not in how}
        unused = left_at_default(type(part), named_by)
        return {name: value for name, value in named_by.items() if name not in unused}
    known = _attributes(part)
    asked = _asked(type(part)) - how
    kept = {name: name if name in known else f"_{name}" for name in asked}
    if all(name in known for name in kept.values()):
        given = {name: known[at] for name, at in kept.items()}
        if own_word:
            return given
        public = {name: value for name, value in known.items() if not name.startswith("_")}
        known, inner = {**public, **given}, known.get("__wrapped__")  # as `functools.update_wrapper` leaves it
        if inner is not None and all(value is not inner for value in known.values()):
            known["__wrapped__"] = inner
    return {name: value for name, value in known.items() if name not in how}


def _asked(kind: type) -> set[str]:
    """The names of a constructor's parameters."""
    if kind.__init__ is object.__init__:  # type: ignore[misc]
        return set()
    return {p.name for p in list(inspect.signature(kind.__init__).parameters.values())[1:]}  # type: ignore[misc]


def _attributes(part: Any) -> dict[str, Any]:
    known = dict(getattr(part, "__dict__", {}))
    for kind in type(part).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(part, name):
                known[name] = getattr(part, name)
    if (torch := sys.modules.get("torch")) and isinstance(part, torch.nn.Module):
        state = {*vars(torch.nn.Module()), *known.get("_defaults", ())}  # a torchmetrics Metric's state is no parameter
        known = {name: value for name, value in known.items() if name not in state}
    return known
