"""`scaling search=zero_order --help`: what an option is and a line for each parameter, from its file's comments."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

from scaling.config.compose import CONF

HELP = ("--help", "-h")
_LINE = re.compile(r"(?P<indent> *)(?P<key>[\w@/]+):(?: +(?P<value>[^#]*?))?(?:\s+# ?(?P<note>.*))?$")


class Parameter(NamedTuple):
    """A line of an option's file."""

    key: str  # as it is typed
    value: str
    note: str


def chosen(arguments: Sequence[str], conf: Path = CONF) -> list[tuple[str, str]]:
    """The options (group, name) that a command line with --help asks about; none where it asks for all."""
    if not any(argument in HELP for argument in arguments):
        return []
    pairs = [argument.lstrip("+").partition("=")[::2] for argument in arguments if "=" in argument]
    return [(group, name) for group, name in pairs if (conf / group / f"{name}.yaml").is_file()]


def option_help(group: str, name: str, conf: Path = CONF, width: int | None = None) -> str:
    """What the option is, and a line for each of its parameters, in `width` columns (None: the terminal's)."""
    width = width or shutil.get_terminal_size().columns
    about, parameters = _read(conf / group / f"{name}.yaml", group)
    lines = [f"{group}={name}", *(line for text in about for line in wrap(text, width - 2))]
    typed = {each.key: f"{each.key}={each.value}" for each in parameters}
    column = min(max(map(len, typed.values()), default=0) + 2, width // 2)
    for each in parameters:
        notes = wrap(each.note, width - column - 2) or [""]
        first, *rest = notes if len(typed[each.key]) < column else ["", *notes]
        lines.append(f"  {typed[each.key]:{column}}{first}".rstrip())
        lines += [f"  {'':{column}}{note}" for note in rest if note]
    return "\n".join(lines)


def _read(path: Path, group: str) -> tuple[list[str], list[Parameter]]:
    """The comment that the file opens with, and its parameters; those of the options that it builds on come first."""
    lines = path.read_text().splitlines()
    whole = bool(lines) and lines[0].startswith("# @package _global_")
    lines = lines[whole:]
    about: list[str] = []
    while lines and lines[0].startswith("#"):
        about.append(lines.pop(0).lstrip("# "))
    parameters: dict[str, Parameter] = {}
    for base in _bases(lines):
        if (path.parent / f"{base}.yaml").is_file():
            parameters |= {each.key: each for each in _read(path.parent / f"{base}.yaml", group)[1]}
    stack: list[tuple[int, str]] = [] if whole else [(-1, group)]
    for line in lines:
        if (found := _LINE.fullmatch(line)) is None or found["key"] == "defaults":
            continue
        depth, value = len(found["indent"]), re.sub(r"&\w+", "", found["value"] or "").strip()
        while stack and stack[-1][0] >= depth:
            stack.pop()
        key = ".".join([*(name for _, name in stack), found["key"]])
        if not value:
            stack.append((depth, found["key"]))
        elif found["key"] != "_target_" and not value.startswith("*"):  # the same part once more
            before = parameters.get(key)
            parameters[key] = Parameter(key, value, found["note"] or (before.note if before else ""))
    return about, list(parameters.values())


def _bases(lines: Sequence[str]) -> list[str]:
    """The options of the same group in a file's list of defaults."""
    if "defaults:" not in lines:
        return []
    found = []
    for line in lines[lines.index("defaults:") + 1 :]:
        if (entry := re.fullmatch(r"\s*- (\w+)(?:\s+#.*)?", line)) is not None:
            found.append(entry[1])
        elif not line.lstrip().startswith("-"):
            break
    return [name for name in found if name != "_self_"]
