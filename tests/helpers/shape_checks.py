"""Holds signatures of the package to the shapes and dtypes it gives; all else that it says is mypy's.

jaxtyping's own import hook would wrap all functions, those inside functions at every call too, and check arguments
twice; this one wraps only those that name a shape, and checks the first calls of each in every test: what a loop calls
a thousand times has the same shapes all the time.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, ClassVar

import torch
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import jaxtyped

CALLS = 3  # of each function in each test
_SHAPED = re.compile(r"(Tensor|ndarray), ['\"]")
_calls: Counter[Callable[..., Any]] = Counter()  # that were checked since the test began


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


def begin_test() -> None:
    """From here on the first calls of every function are checked again."""
    _calls.clear()


def check_members(owner: ModuleType | type, module: str) -> None:
    """Holds the functions, methods and dataclasses of a module or class to the shapes in their annotations."""
    for name, member in list(vars(owner).items()):
        if inspect.isclass(member) and member.__module__ == module and member is not owner:
            check_members(member, module)
        elif isinstance(member, staticmethod | classmethod) and _shapes(member.__func__):
            setattr(owner, name, type(member)(held(member.__func__)))
        elif isinstance(member, property) and _shapes(member.fget):
            setattr(owner, name, property(held(member.fget)))
        elif inspect.isfunction(member) and member.__module__ == module and _shapes(member):
            setattr(owner, name, held(member))


def held(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function; arguments and answers of its first calls are held to the shapes and dtypes in its signature."""
    all_of_them = function.__annotations__
    function.__annotations__ = _shapes(function)
    typed = beartype(function)
    function.__annotations__ = typed.__annotations__ = all_of_them
    checked = jaxtyped(typed, typechecker=None)

    @functools.wraps(function)
    def first_calls(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or _calls[function] == CALLS:
            return function(*args, **kwargs)
        _calls[function] += 1
        try:
            return checked(*args, **kwargs)
        except Exception as error:
            if not isinstance(error, BeartypeCallHintViolation):  # the function's own stays as it is, without a note
                error.__notes__ = [note for note in getattr(error, "__notes__", ()) if "jaxtyping" not in note]
            raise

    return first_calls


def _shapes(function: Callable[..., Any] | None) -> dict[str, Any]:
    """The annotations that hold a shape, no strings any more."""
    if not inspect.isfunction(function):
        return {}
    own = inspect.unwrap(function)
    shaped = {name: hint for name, hint in own.__annotations__.items() if _SHAPED.search(str(hint))}
    return {name: eval(hint, own.__globals__) for name, hint in shaped.items() if isinstance(hint, str)}
