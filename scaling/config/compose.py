"""The runs that a command line means, without running them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]  # the package
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"  # in a wheel; in a clone


def grid(overrides: Sequence[str]) -> list[tuple[dict[str, Any], list[str]]]:
    """Every combination as (configuration, its overrides), as `scaling -m` would run them."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from scaling.config.plugins import register

    register()
    parser = OverridesParser.create()

    def options(line: str) -> list[str]:
        override = parser.parse_override(line)
        if not override.is_sweep_override():
            return [line]
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        first = compose("config", [options(line)[0] for line in overrides], return_hydra_config=True)
        params = first.hydra.sweeper.params or {}
        named = {line.partition("=")[0] for line in overrides}
        lines = [f"{key}={value}" for key, value in params.items() if key not in named] + list(overrides)
        runs = [list(choice) for choice in product(*map(options, lines))]
        return [(resolved(compose("config", run, return_hydra_config=True)), run) for run in runs]


def resolved(composed: Any) -> dict[str, Any]:
    """A composed configuration as plain data, with the chosen option of each group under `choices`."""
    from omegaconf import OmegaConf, open_dict

    choices = {k: v for k, v in composed.hydra.runtime.choices.items() if not k.startswith("hydra/")}
    with open_dict(composed):
        del composed["hydra"]
    config: dict[str, Any] = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore
    return config | {"choices": choices}
