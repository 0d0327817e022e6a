"""What lies behind a configuration's words: the files that it names and the code of others, told without building it.

A finished run is compared with these. Where they differ its parts are built, and their identities have the last word.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import json
import os
import pkgutil
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scaling.checks import leaves
from scaling.contents import PATH_LIKE, files_named_by, files_of_command
from scaling.files import read_json, user_path
from scaling.journal.stream import write_atomically
from scaling.loaded import content
from scaling.source import PACKAGE, Read, is_library, sources, sources_digest

LARGE = 32 * 2**20  # bytes from which on a file is told by size and date, which is enough to look closer
REVISED = "revised: "
ELSEWHERE = ("output_dir", "study", "logger", "choices", "hydra", "journal")  # name no input
_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def inputs_of(config: Mapping[str, Any]) -> dict[str, str]:
    """A word for the content of each file, folder, hub repository and foreign class, by the key that names it."""
    chosen = {key: value for key, value in config.items() if key not in ELSEWHERE}
    named = ((key, key.rpartition(".")[2], value) for key, value in leaves(chosen))
    words = ((key, _revised(name, value) or _word(name, value)) for key, name, value in named)
    return {key: word for key, word in words if word}


def revised(inputs: Mapping[str, str]) -> list[str]:
    """The keys whose word or class means something else than in earlier versions of this package."""
    return [key for key, word in inputs.items() if word.startswith(REVISED)]


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The keys whose content is another one by now; what is not there any more cannot be compared."""
    return [key for key, word in now.items() if before.get(key) != word]


def recorded(folder: Path) -> dict[str, str] | None:
    """The inputs of a finished run; None where it did not record them, a `Damaged` where they cannot be read."""
    path = folder / "inputs.json"
    return read_json(path) if path.exists() else None


def record(folder: Path, inputs: Mapping[str, str]) -> None:
    """Writes the digests of a run's input files, by configuration key, as `inputs.json`."""
    write_atomically(folder / "inputs.json", json.dumps(inputs, indent=1).encode())


def _revised(name: str, value: Any) -> str | None:
    """A word for what answers otherwise than an earlier version of this package did; None for all else.

    Classes of ours say so by their `version`; guidance under 1 was run, with two passes, and is none by now; a final
    solve of `leading` spacing began where the search's solves do.
    """
    if name == "guidance_scale" and isinstance(value, int | float) and value < 1:
        return f"{REVISED}none under 1"
    if name == "spacing" and value != "trailing":
        return f"{REVISED}a final solve begins where its own grid does"
    if name == "_target_" and str(value).startswith(f"{PACKAGE.name}."):
        with suppress(Exception):  # whatever is wrong with it is said where it is built
            version = vars(pkgutil.resolve_name(str(value))).get("version", 1)
            return f"{REVISED}version {version}" if version != 1 else None
    return None


def _word(name: str, value: Any) -> str | None:
    """The content behind a word; None where it stands for itself."""
    if not isinstance(value, str):
        return None
    if name == "_target_":
        return _code(value)
    if name == "function":  # file.py:name, or package.module:name
        place = value.rpartition(":")[0]
        path = user_path(place).resolve()  # it is run anew whenever it is loaded, unlike the modules that it imports
        read: Read = lambda each: each.read_bytes() if each == path else content(each)  # noqa: E731
        return _sources(path, read) if path.is_file() else _code(place)
    if name == "command" or (name.isdigit() and value.endswith(".py")):
        try:
            words = shlex.split(value)
        except ValueError:
            return None
        found = [_content(path) for path in files_of_command(words)]
        return " ".join(found) or None
    path = user_path(value)
    if os.sep in value or path.suffix or PATH_LIKE.search(name):
        try:
            return _content(path) if path.exists() else _revision(value)
        except OSError:
            return None
    return None


def _code(target: str) -> str | None:
    """The digest of the sources behind a dotted name that is no library's."""
    parts = target.split(".")
    for place in (Path(entry or ".") for entry in dict.fromkeys([*sys.path, ""])):
        for count in range(len(parts), 0, -1):
            base = place.joinpath(*parts[:count])
            for file in (base.with_name(base.name + ".py"), base / "__init__.py"):
                if file.is_file():
                    return None if is_library(file) else _sources(file, content, running=True)
        if importlib.machinery.PathFinder.find_spec(parts[0], [str(place)]) is not None:
            return None  # compiled, or a folder that holds none of it
    return None


def _sources(path: Path, read: Read = Path.read_bytes, running: bool = False) -> str:
    """A Python file with all that it imports, and the files that they name: its defaults may be among them."""
    files = sources(path, read, running)
    named = [_content(each) for each in files_named_by(files, ("",), read) if each not in files]
    return "+".join([sources_digest(files, read), *named])


def _content(path: Path) -> str:
    """16 hex digits: a file's bytes (with the local modules that a script imports), a large one's size and date."""
    found = hashlib.blake2b(digest_size=8)
    if path.is_dir():
        for file in sorted(each for each in path.rglob("*") if each.is_file()):
            found.update(f"{file.relative_to(path)} {_content(file)}\n".encode())
    elif path.suffix == ".py":
        found.update(_sources(path).encode())
    elif (stat := path.stat()).st_size >= LARGE:
        found.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    else:
        found.update(path.read_bytes())
    return found.hexdigest()


def _revision(name: str) -> str | None:
    """The commit of a hub repository that the cache holds."""
    if not _HUB.fullmatch(name):
        return None
    from huggingface_hub.constants import HF_HUB_CACHE

    head = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "refs" / "main"
    return head.read_text().strip() if head.is_file() else None
