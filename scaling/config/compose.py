"""The runs that a command line means, without running them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from scaling.config.places import CONF
from scaling.config.quick import shrunk, spelled

PRICED = ("gflops", "seconds")  # units of a budget that take the place of the ladder of its option
LATER = {"model": ("draft",), "budget": ("final_from", *PRICED)}  # null decides nothing: runs keep their earlier names


def grid(overrides: Sequence[str]) -> list[tuple[dict[str, Any], list[str]]]:
    """Every combination as (configuration, its overrides), as `scaling -m` would run them."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from scaling.config.plugins import register

    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return combinations(spelled(overrides))


def combinations(overrides: Sequence[str], name: str = "config") -> list[tuple[dict[str, Any], list[str]]]:
    """The same within the Hydra that is at work, on its own search path.

    A choice of options is composed once; jobs that differ from it in plain values are copies with theirs.
    """
    from hydra import compose
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    parser = OverridesParser.create()

    def options(line: str) -> list[str]:
        override = parser.parse_override(line)
        if not override.is_sweep_override():
            return [line]
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]

    first = compose(name, [options(line)[0] for line in overrides], return_hydra_config=True)
    params = first.hydra.sweeper.params or {}
    named = {line.partition("=")[0] for line in overrides}
    lines = [f"{key}={value}" for key, value in params.items() if key not in named] + list(overrides)
    choices = list(map(options, lines))
    groups = set(first.hydra.runtime.choices)
    plain = [len(of) > 1 and all(_is_plain(parser.parse_override(line), groups) for line in of) for of in choices]
    bases: dict[tuple[str, ...], tuple[Any, dict[str, str]]] = {}
    runs = []
    for run in map(list, product(*choices)):
        key = tuple(line for line, value in zip(run, plain, strict=True) if not value)
        if key not in bases:
            bases[key] = _apart(compose(name, run, return_hydra_config=True))
        for value in (parser.parse_override(line) for line, its in zip(run, plain, strict=True) if its):
            # all jobs give all of them, so that none is left from the job before
            OmegaConf.update(bases[key][0], value.key_or_group, value.value(), merge=False)
        runs.append((as_run(*bases[key], run), run))
    return runs


def _is_plain(override: Any, groups: set[str]) -> bool:
    """Whether it gives a value under a key of its own; all that chooses an option or removes a key is composed."""
    key = override.key_or_group
    elsewhere = key in groups or "/" in key or override.package is not None or key.partition(".")[0] == "hydra"
    return not elsewhere and not override.is_delete() and not isinstance(override.value(), dict)


def _apart(composed: Any) -> tuple[Any, dict[str, str]]:
    """A configuration without Hydra's own part, and the chosen option of each group."""
    from omegaconf import OmegaConf, open_dict

    choices = dict(composed.hydra.runtime.choices)
    with open_dict(composed):
        del composed["hydra"]
    OmegaConf.set_struct(composed, False)
    return composed, choices


def as_run(composed: Any, choices: Mapping[str, str], overrides: Sequence[str]) -> dict[str, Any]:
    """What a run is given of a composed configuration: plain data, with the chosen option of each group in `choices`.

    A priced ladder takes the place of its option's own, parameters of `LATER` that say nothing are left out, and
    `quick` makes it small.
    """
    from omegaconf import OmegaConf

    plain: dict[str, Any] = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore
    if any(plain["budget"].get(name) for name in PRICED):
        plain["budget"] |= {"candidates": None, "nfe": None}
    for group, names in LATER.items():
        plain[group] = {key: value for key, value in plain[group].items() if key not in names or value is not None}
    plain["choices"] = {group: name for group, name in choices.items() if not group.startswith("hydra/")}
    return shrunk(plain, overrides)
