"""`scaling --help` lists all options, `scaling search=zero_order --help` explains one, from its file's comments.

Neither waits for Hydra, which would compose a run first.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

import yaml

from scaling.config.hidden import config_folders
from scaling.config.own import ENTRY_POINTS, installed, package_folders
from scaling.config.places import CONF

HELP = ("--help", "-h")
HIDDEN = ("hydra", "quick", "parts")  # folders of conf/ with nothing that is chosen by itself
GENERAL = """\
scaling: how does quality grow with inference-time compute, for your model, verifier and search?

Usage: scaling [-m] [group=option] [key=value] ...

== Groups ==
model        what is sampled from        conditions   classes or prompts to sample for
verifier     what guides the search      search       how it looks for good noise
budget       the ladder of compute       metrics      what judges the winners
logger       where curves are published  experiment   presets: figures and tables of the paper
calibration  what is known without search
hydra/launcher  where the jobs of a multirun run

{options}

== Examples ==
scaling model=fashion_m verifier=classifier search=random 'budget.candidates=[1,2,4,8,16]'
scaling -m search=random verifier=classifier,control model=fashion_s,fashion_m

scaling search=zero_order --help   an option, and each of its parameters
scaling-study list     every option in a line: what it is, offline or download, what it needs
scaling-study --help   plans, figures, tables, reports of what has run
scaling --cfg job      the whole configuration of what would run
scaling -m a=1,2 b=x,y every combination, each with its own folder; what they share is computed once"""
_LINE = re.compile(r"(?P<indent> *)(?P<key>[\w@/]+):(?: +(?P<value>[^#]*?))?(?:\s+# ?(?P<note>.*))?$")


class Parameter(NamedTuple):
    """A line of an option's file."""

    key: str  # as it is typed
    value: str
    note: str


def main() -> None:
    """Prints what the command line, which has --help, asks about."""
    arguments = sys.argv[1:]
    asked = chosen(arguments)
    print("\n\n".join(option_help(group, name) for group, name in asked) if asked else general_help(arguments))


def general_help(arguments: Sequence[str] = (), width: int | None = None) -> str:
    """The groups and all their options, in `width` columns (None: the terminal's).

    Those of installed packages are among them, and those in the folder that the arguments give as --config-dir.
    """
    width = width or shutil.get_terminal_size().columns
    found = _options([CONF, *package_folders(), *config_folders(arguments)])
    for group in ENTRY_POINTS:
        found[group] = found.get(group, set()) | {point.name for point in installed(group)}
    lines = [f"{group}: {', '.join(sorted(names))}" for group, names in sorted(found.items())]
    wrapped = [part for line in lines for part in wrap(line, width, subsequent_indent="  ", break_on_hyphens=False)]
    return GENERAL.format(options="\n".join(wrapped))


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


def _options(folders: Sequence[Path]) -> dict[str, set[str]]:
    """The names of the options by their group."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for file in folder.glob("*/**/*.yaml"):
            group = file.parent.relative_to(folder)
            if not set(group.parts) & set(HIDDEN):
                found.setdefault(group.as_posix(), set()).add(file.stem)
    return found


def _read(path: Path, group: str) -> tuple[list[str], list[Parameter]]:
    """The comment that the file opens with, and its parameters; those of the options that it builds on come first."""
    lines = path.read_text().splitlines()
    whole = bool(lines) and lines[0].startswith("# @package _global_")
    lines = lines[whole:]
    about: list[str] = []
    while lines and lines[0].startswith("#"):
        about.append(lines.pop(0).lstrip("# "))
    parameters: dict[str, Parameter] = {}
    defaults = (yaml.safe_load("\n".join(lines)) or {}).get("defaults") or []
    for base in (each for each in defaults if isinstance(each, str)):  # options of the same group
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
