"""Values of the options of our classes, held against the types that their parameters have, before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from scaling.config.run_name import class_of
from scaling.source import is_ours

_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "int": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "float": ("a number", lambda value: isinstance(value, Real) and not isinstance(value, bool)),
    "str": ("a text", lambda value: isinstance(value, str)),
    "None": ("null", lambda value: value is None),
}


def check_types(where: str, node: Any) -> None:
    """A ValueError names the key of a value that its parameter cannot take; `where` is the key of the node.

    Parameters of plain types alone are looked at: what `no` or `0` means for one that is true or false is not guessed.
    """
    if isinstance(node, list):
        for place, each in enumerate(node):
            check_types(f"{where}.{place}", each)
    if not isinstance(node, Mapping):
        return
    kind = class_of(str(node.get("_target_", "")))
    known = inspect.signature(kind).parameters if kind is not None and is_ours(kind) else {}
    for name, value in node.items():
        if name in known:
            _check(f"{where}.{name}", value, str(known[name].annotation))
        check_types(f"{where}.{name}", value)


def _check(key: str, value: Any, annotation: str) -> None:
    types = [each.strip() for each in annotation.split("|")]
    if all(each in _TYPES for each in types) and not any(_TYPES[each][1](value) for each in types):
        wanted = " or ".join(_TYPES[each][0] for each in types)
        quoted = f": quote it, as {key}='\"{value}\"'" if "str" in types and isinstance(value, Real) else ""
        raise ValueError(f"{key}={value!r} must be {wanted}{quoted}")
