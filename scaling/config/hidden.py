"""Options of others under a name of ours: Hydra takes ours and says nothing, so that they are refused."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from scaling.config.own import ENTRY_POINTS, installed, package_folders
from scaling.config.places import CONF
from scaling.files import user_path

_GIVEN = ("--config-d", "--config-di", "--config-dir", "-cd")  # as Hydra's parser takes it, shortened too
_SEARCHPATH = "hydra.searchpath"


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """What follows --config-dir in a command's words, as Hydra takes it."""
    words = [part for argument in arguments for part in argument.split("=", 1)]
    return [user_path(after) for word, after in pairwise(words) if word in _GIVEN]


def refuse_hidden(arguments: Sequence[str]) -> None:
    """A ValueError where the folders that a command's words give have an option, or a config, with a name of ours.

    A copy of ours hides nothing.
    """
    for folder in (*config_folders(arguments), *_search_path(arguments)):
        _refuse(folder, "yours")


def refuse_hidden_of_packages() -> None:
    """A ValueError where an installed package has an option with a name of ours, as a yaml or an entry point."""
    for folder in package_folders():
        _refuse(folder, "the package's")
    for group in ENTRY_POINTS:
        for point in installed(group):
            if (CONF / group / f"{point.name}.yaml").is_file():
                raise ValueError(f"{point.value}: {group}/{point.name} is ours; give the package's another name")


def _refuse(folder: Path, whose: str) -> None:
    for ours in sorted(CONF.rglob("*.yaml")):
        name = ours.relative_to(CONF)
        if (theirs := folder / name).is_file() and not filecmp.cmp(theirs, ours, shallow=False):
            raise ValueError(f"{theirs}: {name.with_suffix('').as_posix()} is ours; give {whose} another name")


def _search_path(arguments: Sequence[str]) -> list[Path]:
    """The folders of `hydra.searchpath=[...]`; what Hydra cannot read it says itself."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    lines = [argument for argument in arguments if argument.lstrip("+").startswith(f"{_SEARCHPATH}=")]
    places: list[str] = []
    with suppress(HydraException):
        for override in OverridesParser.create().parse_overrides(lines):
            value = override.value()
            places += [str(each) for each in value] if isinstance(value, list) else []
    return [user_path(place.removeprefix("file://")) for place in places]
