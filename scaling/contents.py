"""What files and folders hold: whoever names one is named by its content, wherever it lies."""

from __future__ import annotations

import ast
import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from scaling.files import user_path
from scaling.loaded import content
from scaling.source import Read, files_of, is_ours

LARGE = 2**20  # bytes from which on a digest is remembered
CONTENT, NAMED_FILES = "content", "named_files"  # what identities call the content of a path, and of paths in code
PATH_LIKE = re.compile(r"path|file|folder|weights|checkpoint|reference|calibration|command")  # names of parameters
_WRITTEN = {"cache", "log", "logs", "out", "output", "outputs", "dump", "save", "tmp", "temp", "scratch"}
WEIGHTS = (  # endings of files of weights
    ".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".npy", ".npz", ".onnx", ".pkl", ".pickle", ".joblib", ".h5",
    ".hdf5", ".msgpack", ".gguf", ".tflite",
)  # fmt: skip
_SHELLS = re.compile(rb"#!.*\b(ba|z|da|k)?sh\b")
_SHA256 = re.compile("[0-9a-f]{64}")
_digests: dict[Path, tuple[tuple[int, ...], str]] = {}


def digest(path: Path, files: Sequence[str] = ("*",)) -> str:
    """sha256 of a file's bytes, or of a folder's files that match, whatever the folder is called."""
    if path.is_file():
        return _file_digest(path.resolve())
    whole = hashlib.sha256()
    for found in sorted({f for pattern in files for f in path.glob(pattern) if f.is_file()}):
        whole.update(f"{found.relative_to(path)} {digest(found)}\n".encode())
    return whole.hexdigest()


def by_content(name: str, value: Any) -> Any:
    """A parameter, or those within it, with the content in place of a path to a file or folder that is there.

    A word is a path where it holds a `/`, ends as files do, or where its parameter is called so; not where the
    parameter is called as what is written (`cache_dir`, `log`), nor the folder in which all is done.
    """
    if isinstance(value, Mapping):
        return {key: by_content(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [by_content(name, each) for each in value]
    if not isinstance(value, str | Path) or _WRITTEN & set(re.split(r"[^a-z]+", name.lower())):
        return value
    path = user_path(value)
    if isinstance(value, Path) or "/" in value or path.suffix or PATH_LIKE.search(name):
        with suppress(OSError, ValueError):  # too long, or not of letters that a path has
            if path.exists() and not Path.cwd().is_relative_to(path.resolve()):
                return {CONTENT: digest(path, ("**/*",))[:16]}
    return value


def named_by_code(kind: Any) -> dict[str, str]:
    """A digest of the files of weights that the code of a class or function that is not ours names in its text."""
    found = [] if is_ours(kind) else files_named_by(files_of(kind), WEIGHTS, content)
    return {NAMED_FILES: files_digest(found)} if found else {}


def files_named_by(paths: Iterable[Path], endings: tuple[str, ...], read: Read = Path.read_bytes) -> list[Path]:
    """Files with such endings that Python sources name, seen from the current folder or from where they lie."""
    found: dict[Path, None] = {}
    for path in paths:
        for word in _words(read(path)):
            for place in (user_path(word), path.parent / word) if word.endswith(endings) else ():
                with suppress(OSError, ValueError):
                    if place.is_file():
                        found[place.resolve()] = None
    return list(found)


def files_of_command(words: Sequence[str]) -> list[Path]:
    """The files that a command names: its words, those within them (`bash -c "..."`), in shell scripts, after `-m`."""
    found: dict[Path, None] = {}
    waiting, after = list(words), ""
    while waiting:
        word = waiting.pop(0)
        with suppress(OSError, ValueError):
            path = Path(word)
            if after == "-m" and (module := _module(word)):
                found[module] = None
            elif path.is_file() and path not in found:
                found[path] = None
                waiting += _script(path)
            elif any(each.isspace() for each in word):
                waiting += shlex.split(word)
        after = word
    return list(found)


def files_digest(paths: Iterable[Path]) -> str:
    """16 hex digits of the content of files, whatever their order."""
    contents = sorted(digest(path) for path in paths)
    return hashlib.blake2b("".join(contents).encode(), digest_size=8).hexdigest()


def _file_digest(path: Path) -> str:
    """The hub's cache names a large file by its sha256; another large one is hashed once a process, unless it changes.

    A small one is hashed each time, since it may change within a tick of the file system's clock.
    """
    if path.parent.name == "blobs" and _SHA256.fullmatch(path.name):
        return path.name
    stat = path.stat()
    state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if (known := _digests.get(path)) and known[0] == state:
        return known[1]
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if stat.st_size >= LARGE:
        _digests[path] = state, found
    return found


@cache
def _words(text: bytes) -> tuple[str, ...]:
    """The words in a Python file's text that end as files do."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ()
    words = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return tuple(dict.fromkeys(word for word in words if len(word) < 256 and Path(word).suffix))


def _module(name: str) -> Path | None:
    """The file of `python -m name` from the current folder."""
    base = Path(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__main__.py") if path.is_file()), None)


def _script(path: Path) -> list[str]:
    """The words of a shell script."""
    with path.open("rb") as file:
        start = file.read(100)
    if path.suffix != ".sh" and not _SHELLS.match(start):
        return []
    return shlex.split(path.read_text(), comments=True)
