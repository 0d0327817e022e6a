"""Holds signatures of the package to the shapes and dtypes it gives; all else that it says is mypy's.

jaxtyping's own import hook would wrap all functions, those inside functions at every call too; this one wraps only
those that name a shape.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, ClassVar, get_args

from beartype import beartype
from jaxtyping import AbstractArray, jaxtyped

_SHAPED = re.compile(r"(Tensor|ndarray), ['\"]")


class _Finder(PathFinder):
    rooms: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        held = any(f"{fullname}.".startswith(f"{room}.") for room in cls.rooms)
        spec = super().find_spec(fullname, path, target) if held else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        check_members(module, module.__name__)


def install(*rooms: str) -> None:
    """Checks these modules and packages where they are imported from here on."""
    _Finder.rooms = rooms
    sys.meta_path.insert(0, _Finder)


def check_members(owner: ModuleType | type, module: str) -> None:
    """Wraps the functions, methods and dataclasses of a module or class whose annotations hold a shape."""
    for name, member in list(vars(owner).items()):
        if inspect.isclass(member) and member.__module__ == module and member is not owner:
            check_members(member, module)
        function = getattr(member, "fget", None) or getattr(member, "__func__", None) or member
        if inspect.isfunction(function) and function.__module__ == module and _resolve_shapes(function):
            setattr(owner, name, jaxtyped(member, typechecker=_check))
    if "__dataclass_fields__" in vars(owner) and _SHAPED.search(str(vars(owner).get("__annotations__"))):
        jaxtyped(owner, typechecker=_check)


def _resolve_shapes(function: Callable[..., Any]) -> bool:
    """Whether a function's signature holds a shape; those that do are values then, where its decorators see them."""
    own = inspect.unwrap(function)
    shaped = {name: hint for name, hint in own.__annotations__.items() if _SHAPED.search(str(hint))}
    own.__annotations__.update({name: eval(hint, own.__globals__) for name, hint in shaped.items()})
    return bool(shaped)


def _check(function: Callable[..., Any]) -> Callable[..., Any]:
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if _holds_a_shape(hint)}
    return beartype(function)


def _holds_a_shape(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_holds_a_shape(part) for part in get_args(hint))
