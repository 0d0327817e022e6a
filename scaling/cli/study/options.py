"""The commands of `scaling-study` about what there is to choose, and what to cite for it: list, cite."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from scaling.cli.study.runs import Add
from scaling.config.catalog import GROUPS, Option
from scaling.config.catalog import options as known

COLUMNS = "name, where what it needs comes from, the extra that it needs (scaling-study[...]), what it is"


def list_options(options: argparse.Namespace) -> int:
    """Lists the options of a group (or of all): offline or download, what to install, how long a preset takes."""
    found = {group: known(group) for group in ([options.group] if options.group else GROUPS)}
    name, extras = (
        max(len(word(option)) for each in found.values() for option in each)
        for word in (lambda option: option.name, lambda option: ",".join(option.extras))
    )

    def line(option: Option) -> str:
        takes = f" ({option.takes})" if option.takes else ""
        return f"{option.name:{name}}  {option.origin:8}  {','.join(option.extras):{extras}}  {option.what}{takes}"

    for group, each in found.items():
        if not options.group:
            print(f"\n{group}=")
        print("\n".join(_fitted(line(option)) for option in each))
    return 0


def cite(options: argparse.Namespace) -> int:
    """Prints the BibTeX of exactly what a study or run used: search, model, verifiers, metrics, prompts, project."""
    from omegaconf import OmegaConf

    from scaling.analysis.runs.folder import find_runs
    from scaling.config.references import bibtex

    runs = find_runs(options.folder)
    if not runs:
        raise ValueError(f"{options.folder} holds no run with a curve.csv")
    configs: list[Any] = [OmegaConf.to_container(OmegaConf.load(run.path / "config.yaml")) for run in runs]
    print(bibtex(configs), end="")
    return 0


def add_commands(add: Add) -> None:
    """Adds list and cite to the command."""
    command = add("list", list_options)
    command.add_argument("group", nargs="?", choices=GROUPS, help=f"one line an option: {COLUMNS}")
    command = add("cite", cite)
    command.add_argument("folder", type=Path, help="a study's or a run's folder, e.g. outputs/quickstart")


def _fitted(line: str) -> str:
    """A line of a terminal; whole where it goes into a file or a pipe."""
    width = shutil.get_terminal_size().columns
    return line if not sys.stdout.isatty() or len(line) <= width else line[: width - 1] + "…"
