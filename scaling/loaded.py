"""A local file of Python as this process runs it: an edit after its import is not what runs, and not what is named."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

_imported: dict[Path, tuple[object, bytes]] = {}


def content(path: Path) -> bytes:
    """The bytes of a file; where a module was imported from it, those that it was imported from.

    They are remembered at the first look. A module that was edited between its import and that look is refused, since
    nothing tells any more what runs.

    Raises:
        ValueError: with what to do.
    """
    module = _module_of(path)
    if module is None:
        return path.read_bytes()
    made = getattr(module, "__spec__", None) or module  # a reload makes a new one
    known = _imported.get(path)
    if known is None or known[0] is not made:
        text = path.read_bytes()
        if not _is_from(module, path, text):
            raise ValueError(
                f"{path.name} was edited after {module.__name__} was imported from it: start anew, or "
                f"importlib.reload({module.__name__})"
            )
        _imported[path] = known = made, text
    return known[1]


def forget() -> None:
    """Takes every module's file at its next look as at the first, as a process that begins."""
    _imported.clear()


def edited() -> list[str]:
    """A line for each local module that was edited after its import, whose old code runs here until it is reloaded."""
    known = [(path, _module_of(path), text) for path, (_, text) in _imported.items()]
    return [
        f"{path.name} was edited after it was imported: this process runs it as it was; start anew to run it as it is"
        for path, module, text in known
        if module is not None and path.is_file() and path.read_bytes() not in (text, content(path))
    ]


def _module_of(path: Path) -> ModuleType | None:
    for name in _named(len(sys.modules), next(reversed(sys.modules))).get(path.name, ()):
        module = sys.modules.get(name)
        if isinstance(module, ModuleType) and _resolved(str(vars(module).get("__file__"))) == path:
            return module
    return None


@lru_cache(maxsize=1)
def _named(count: int, last: str) -> dict[str, list[str]]:
    """The modules by their files' names; `count` and `last` tell whether others are there by now."""
    found: dict[str, list[str]] = {}
    for name, module in list(sys.modules.items()):
        file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if isinstance(file, str):
            found.setdefault(os.path.basename(file), []).append(name)
    return found


@cache
def _resolved(file: str) -> Path:
    return Path(file).resolve()


def _is_from(module: ModuleType, path: Path, text: bytes) -> bool:
    """Whether all functions of a module are in the text; taken to be so where an import hook rewrites what it loads."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    if type(loader) is not SourceFileLoader:
        return True
    try:
        known = set(_codes(loader.source_to_code(text, str(path))))
    except (SyntaxError, ValueError):
        return False
    return all(each in known for each in _defined(module, path))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)


def functions_of(owner: type | ModuleType) -> dict[str, FunctionType]:
    """The functions of a class or module, those behind properties and class methods too."""
    unwrapped = {name: getattr(value, "__func__", getattr(value, "fget", value)) for name, value in vars(owner).items()}
    return {name: value for name, value in unwrapped.items() if isinstance(value, FunctionType)}


def _defined(module: ModuleType, path: Path) -> Iterator[CodeType]:
    """The code of all functions and methods that a module's own text defines."""
    owners: list[type | ModuleType] = [module, *(each for each in vars(module).values() if isinstance(each, type))]
    for owner in owners:
        for each in functions_of(owner).values():
            function = inspect.unwrap(each)  # a decorator's own code is elsewhere
            if isinstance(function, FunctionType) and _resolved(function.__code__.co_filename) == path:
                yield function.__code__
