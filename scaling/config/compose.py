"""The runs that a command line means, without running them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

HERE = Path(__file__).parents[1]  # the package
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"  # in a wheel; in a clone
MOST = 256  # composed configurations that are kept to be copied, 0.1 MB each


def grid(overrides: Sequence[str]) -> list[tuple[dict[str, Any], list[str]]]:
    """Every combination as (configuration, its overrides), as `scaling -m` would run them."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()

    def options(line: str) -> list[str]:
        override = parser.parse_override(line)
        if not override.is_sweep_override():
            return [line]
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = alike(
            GlobalHydra.instance().config_loader(), lambda run: compose("config", run, return_hydra_config=True)
        )
        params = composed([options(line)[0] for line in overrides]).hydra.sweeper.params or {}
        named = {line.partition("=")[0] for line in overrides}
        lines = [f"{key}={value}" for key, value in params.items() if key not in named] + list(overrides)
        runs = [list(choice) for choice in product(*map(options, lines))]
        return [(resolved(composed(run)), run) for run in runs]


def alike(loader: ConfigLoader, compose: Callable[[list[str]], DictConfig]) -> Callable[[list[str]], DictConfig]:
    """`compose`, but what differs from an earlier result in plain values only is a copy of it with those set.

    Of many jobs few choose other options of the config groups. Composing takes a tenth of a second, copying less than
    a tenth of that.
    """
    from hydra._internal.config_loader_impl import get_overrides_dirname
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override, OverrideType
    from omegaconf import OmegaConf

    parser = OverridesParser.create()
    is_group = cache(lambda key: bool(loader.get_group_options(key)))
    kept: dict[tuple[str | None, ...], DictConfig] = {}

    def plain(override: Override) -> bool:
        if override.type != OverrideType.CHANGE or override.package or override.is_hydra_override():
            return False
        value = override.value()
        return (value is None or isinstance(value, str | int | float)) and not is_group(override.key_or_group)

    def composed(lines: list[str]) -> DictConfig:
        overrides = parser.parse_overrides(lines)
        values = {each.input_line: each for each in overrides if plain(each)}
        pattern = tuple(each.key_or_group if each.input_line in values else each.input_line for each in overrides)
        if pattern not in kept:
            config = compose(lines)
            if len(kept) < MOST:
                kept[pattern] = deepcopy(config)
            return config
        config = deepcopy(kept[pattern])
        for override in values.values():
            OmegaConf.update(config, override.key_or_group, override.value())
        ours = [override for override in overrides if not override.is_hydra_override()]
        config.hydra.overrides.task = [override.input_line for override in ours]
        config.hydra.job.override_dirname = get_overrides_dirname(ours, **config.hydra.job.config.override_dirname)
        return config

    return composed


def resolved(composed: Any) -> dict[str, Any]:
    """A composed configuration as plain data, with the chosen option of each group under `choices`."""
    from omegaconf import OmegaConf, open_dict

    choices = {k: v for k, v in composed.hydra.runtime.choices.items() if not k.startswith("hydra/")}
    with open_dict(composed):
        del composed["hydra"]
    config: dict[str, Any] = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore
    return config | {"choices": choices}
