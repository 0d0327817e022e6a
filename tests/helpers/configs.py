"""Parts as conf/ describes them, composed by Hydra and built."""

from __future__ import annotations

from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate

CONF = Path(__file__).parents[2] / "conf"


def options(group: str) -> list[str]:
    """The names of a group's options."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@cache
def _composed(group: str, option: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[f"{group}={option}"])[group]


def built(group: str, option: str) -> Any:
    """One option as an object, a new one each time."""
    node = {name: value for name, value in _composed(group, option).items() if name != "draft"}  # no parameter
    return instantiate(node, _convert_="all")


def check(node: Any) -> None:
    """Every node with a target binds to it."""
    if isinstance(node, dict):
        if "_target_" in node:
            signature(get_class(node["_target_"])).bind(**{k: v for k, v in node.items() if k != "_target_"})
        for value in node.values():
            check(value)
