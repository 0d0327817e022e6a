"""Parts as conf/ describes them, composed by Hydra and built."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate

CONF = Path(__file__).parents[2] / "conf"


def options(group: str) -> list[str]:
    """The names of a group's options."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def built(group: str, option: str) -> Any:
    """One option as an object."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"{group}={option}"])
    node = {name: value for name, value in config[group].items() if name != "draft"}  # a model beside, not a parameter
    return instantiate(node, _convert_="all")


def check(node: Any) -> None:
    """Every node with a target binds to it."""
    if isinstance(node, dict):
        if "_target_" in node:
            signature(get_class(node["_target_"])).bind(**{k: v for k, v in node.items() if k != "_target_"})
        for value in node.values():
            check(value)
