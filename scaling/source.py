"""The code behind a class or function that is not ours: the file that defines it and the local modules it imports."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from scaling.loaded import content

PACKAGE = Path(__file__).resolve().parent
Read = Callable[[Path], bytes]
_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def is_ours(kind: Any) -> bool:
    """Whether a class or function is of this package, whose code is told by its version."""
    return str(getattr(kind, "__module__", "")).partition(".")[0] == PACKAGE.name


def is_library(path: Path) -> bool:
    """Whether a file is of Python itself, of an installed package or of this one."""
    path = path.resolve()
    return any(path.is_relative_to(folder) for folder in (*_LIBRARIES, PACKAGE)) or "site-packages" in path.parts


def file_of(kind: Any) -> Path | None:
    """The file that defines a class or function; None where it was typed in (a notebook, an interpreter)."""
    try:
        path = Path(inspect.getsourcefile(kind) or "")
    except (TypeError, OSError):  # built in, or a class of a module that has no file
        return None
    if not path.is_file() or (kind.__module__ == "__main__" and is_library(path)):  # a notebook's file is its server's
        return None
    return path.resolve()


def code_of(kind: Any) -> str | None:
    """What tells the code of a class or function: 16 hex digits of its sources, or its package's version.

    None where no file defines it, as in a notebook.
    """
    path = file_of(kind)
    if path is None:
        return None
    if is_library(path):
        name = kind.__module__.partition(".")[0]
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            return sources_digest([path], content)
    return sources_digest(sources(path, content), content)


def sources_digest(files: list[Path], read: Read = Path.read_bytes) -> str:
    """16 hex digits of the files' content, wherever they lie and whatever their order."""
    contents = sorted(hashlib.sha256(read(path)).digest() for path in files)
    return hashlib.blake2b(b"".join(contents), digest_size=8).hexdigest()


def sources(path: Path, read: Read = Path.read_bytes) -> list[Path]:
    """A Python file and all local files that it imports, and those that they import in turn, by what `read` says.

    Local is what lies beside a file, in its package's root or in a folder of `sys.path` that holds no installed
    packages.
    """
    found, waiting = {path.resolve(): None}, [path.resolve()]
    while waiting:
        for other in _imported(waiting.pop(), read):
            if other not in found:
                found[other] = None
                waiting.append(other)
    return list(found)


def _imported(path: Path, read: Read) -> list[Path]:
    local = _local(Path.cwd(), tuple(sys.path))
    roots = tuple(dict.fromkeys([path.parent, _root(path), *local]))
    return [
        file for level, name in _names(read(path)) for file in _files(path, level, name, roots) if not is_library(file)
    ]


@cache
def _local(here: Path, entries: tuple[str, ...]) -> tuple[Path, ...]:
    folders = ((here / entry).resolve() for entry in entries)
    return tuple(folder for folder in folders if folder.is_dir() and not is_library(folder))


def _root(path: Path) -> Path:
    """The folder that a file's package lies in."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    return folder


@cache
def _names(text: bytes) -> tuple[tuple[int, str], ...]:
    """All that a text imports, anywhere in it: (how many folders up, dotted name); an import of a name is both."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ()
    found: dict[tuple[int, str], None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(0, alias.name): None for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {(node.level, module): None} if module or node.level else {}
            found |= {(node.level, f"{module}.{alias.name}".lstrip(".")): None for alias in node.names}
        elif isinstance(node, ast.Call) and (name := _imports_by_name(node)):
            found[0, name] = None
    return tuple(found)


def _imports_by_name(node: ast.Call) -> str | None:
    """The name in `import_module("name")` and `__import__("name")`."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in ("import_module", "__import__") or not node.args or not isinstance(node.args[0], ast.Constant):
        return None
    return node.args[0].value if isinstance(node.args[0].value, str) else None


@cache
def _files(path: Path, level: int, name: str, roots: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files of a dotted name: its packages' `__init__.py` on the way, and the module itself."""
    parts = [part for part in name.split(".") if part]
    starts = roots if level == 0 else (path.parents[min(level, len(path.parents)) - 1],)
    for start in starts:
        place, here = start, []
        for part in parts:
            here += [file for file in (place / f"{part}.py", place / part / "__init__.py") if file.is_file()]
            place = place / part
        if level and (start / "__init__.py").is_file():
            here.append(start / "__init__.py")
        if here:
            return tuple(file.resolve() for file in here)
    return ()
