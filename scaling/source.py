"""The code behind a class or function that is not ours: the file that defines it and the local modules it imports."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import _lru_cache_wrapper, cache
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

from scaling.loaded import content

PACKAGE = Path(__file__).resolve().parent
Read = Callable[[Path], bytes]
CACHED = _lru_cache_wrapper
_GENERATED = "__create_fn__."  # how a dataclass's own methods begin, which the text of its class says
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
    typed = getattr(kind, "__module__", "") == "__main__" and is_library(path)  # a notebook's file is its server's
    if typed or not path.is_file():
        return None
    return path.resolve()


def code_of(kind: Any) -> str | None:
    """What tells the code of a class or function: 16 hex digits of its sources, or its package's version.

    None where no file defines it, as in a notebook.
    """
    path, files = file_of(kind), files_of(kind)
    if path is None:
        return None
    if files:
        return sources_digest(files, content)
    name = kind.__module__.partition(".")[0]
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return sources_digest([path], content)


def files_of(kind: Any) -> list[Path]:
    """The local files behind a class or function: its own, those of what it inherits or wraps, and their imports."""
    found: dict[Path, None] = {}
    for path in map(file_of, _layers(kind)):
        if path is not None and path not in found and not is_library(path):
            found |= dict.fromkeys(sources(path, content, running=True))
    return list(found)


def is_decorated(kind: Any) -> bool:
    """Whether a function of others is what a decorator made of it, in its name: its own code lies elsewhere.

    One that is called after the function that made it says so itself, and carries what it was made with.
    """
    if not isinstance(kind, FunctionType) or is_ours(kind) or "<" in kind.__qualname__:
        return False
    inmost = inspect.unwrap(kind)
    if isinstance(inmost, FunctionType) and inmost.__code__.co_qualname.startswith(_GENERATED):
        return False
    return hasattr(kind, "__wrapped__") or "<" in kind.__code__.co_qualname


def layers_in_text(function: FunctionType) -> int:
    """How often a function is wrapped where a file says it all, by decorators above its `def`; 0 where none does."""
    layers = _layers(function)
    inmost = layers[-1]
    path = file_of(inmost) if isinstance(inmost, FunctionType) else None
    if path is None or is_library(path):
        return 0
    name, tree = inmost.__qualname__, ast.parse(content(path))
    known = any(each is function for each in _layers(inmost.__globals__.get(name)))
    above = any(
        isinstance(each, ast.FunctionDef) and each.name == name and each.decorator_list for each in _at_top(tree)
    )
    nodes = (each for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id == name)
    anew = any(isinstance(each.ctx, ast.Store) for each in nodes)  # as in `f = scaled(2)(f)`
    return len(layers) - 1 if known and above and not anew else 0


def _at_top(node: ast.AST) -> Iterator[ast.AST]:
    """The statements of a module that run once at most."""
    for each in ast.iter_child_nodes(node):
        yield each
        if isinstance(each, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _at_top(each)


def _layers(kind: Any) -> list[Any]:
    """A class with its bases; a function with what it wraps, to the inmost, or the module that it says it is of."""
    if isinstance(kind, type):
        return list(kind.__mro__)
    found = [kind]
    while is_decorated(found[-1]) or isinstance(found[-1], CACHED):
        inner = getattr(found[-1], "__wrapped__", sys.modules.get(found[-1].__module__))
        if inner is None or any(each is inner for each in found):
            break
        found.append(inner)
    return found


def sources_digest(files: list[Path], read: Read = Path.read_bytes) -> str:
    """16 hex digits of the files' content, wherever they lie and whatever their order."""
    contents = sorted(hashlib.sha256(read(path)).digest() for path in files)
    return hashlib.blake2b(b"".join(contents), digest_size=8).hexdigest()


def sources(path: Path, read: Read = Path.read_bytes, running: bool = False) -> list[Path]:
    """A Python file and all local files that it imports, and those that they import in turn, by what `read` says.

    Local is what lies beside a file, in its package's root or in a folder of `sys.path` that holds no installed
    packages; with `running` also what an import means in this process, where that is another file.
    """
    found, waiting = {path.resolve(): None}, [path.resolve()]
    while waiting:
        for other in _imported(waiting.pop(), read, running):
            if other not in found:
                found[other] = None
                waiting.append(other)
    return list(found)


def refuse_strangers(path: Path) -> None:
    """A ValueError where a file's import means another file in this process than the one in the file's folder."""
    for file in sources(path, content):
        for name in {part for level, each in _names(content(file)) if not level for part in _prefixes(each)}:
            base = path.parent.joinpath(*name.split("."))
            beside = [each.resolve() for each in (base.with_name(f"{base.name}.py"), base / "__init__.py")]
            stranger = _meant(name)
            if stranger is not None and stranger not in beside and any(each.is_file() for each in beside):
                raise ValueError(
                    f"{_shown(file)} imports {name}, and {_shown(stranger)} is imported under that name: rename one"
                )


def _imported(path: Path, read: Read, running: bool) -> list[Path]:
    local = _local(Path.cwd(), tuple(sys.path))
    roots = tuple(dict.fromkeys([path.parent, _root(path), *local]))
    found: list[Path] = []
    for level, name in _names(read(path)):
        found += (files := _files(path, level, name, roots))
        if running and files and not level:
            found += [file for part in _prefixes(name) if (file := _meant(part))]
    return [file for file in found if not is_library(file)]


def _prefixes(name: str) -> list[str]:
    """A dotted name and the packages on the way to it."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _meant(name: str) -> Path | None:
    """The local file that an import of a name gives in this process; a name within a package, if it was imported."""
    try:
        module = sys.modules.get(name)
        spec = find_spec(name) if module is None and "." not in name else None
    except (ImportError, ValueError):
        return None
    file = getattr(module, "__file__", None) if spec is None else spec.origin
    path = Path(file).resolve() if isinstance(file, str) else None
    return path if path is not None and path.is_file() and not is_library(path) else None


def _shown(path: Path) -> str:
    """A path as seen from the current folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


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
