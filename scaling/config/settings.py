"""The settings of a run and the options of our classes, checked where they enter, before anything is built."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from numbers import Real
from typing import Any

from scaling import checks
from scaling.config.renamed import renamed
from scaling.config.run_name import class_of
from scaling.source import is_ours

_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "int": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "float": ("a number", lambda value: isinstance(value, Real) and not isinstance(value, bool)),
    "str": ("a text", lambda value: isinstance(value, str)),
    "None": ("null", lambda value: value is None),
}


_OPTIONS = {
    "scorers": "+verifier@scorers.oracle=oracle",
    "metrics": "metrics=fashion",
    "journal": "journal.retention=scores",
}
KEYS = {  # all that is read of a configuration, where no class says what it takes
    "": (
        "model", "conditions", "verifier", "metrics", "search", "budget", "logger", "calibration", "quick", "study",
        "output_dir", "seed", "sampler", "scorers", "order", "batch_size", "block_size", "workers", "journal",
        "samples", "progress", "debug",
    ),
    "journal": ("retention", "limit_gb", "probe_sigma", "patience"),
    "metrics": ("set", "per_sample", "extractors"),
}  # fmt: skip
_BESIDE = ("choices", "phases")  # no keys to be typed: the chosen options; one that is gone, which is said elsewhere


def check_settings(config: Mapping[str, Any]) -> None:
    """A ValueError where a setting is of another type than it can be, out of its range, or no setting at all.

    The recorded configuration of a run, which has `overrides`, may lack settings and have some that are gone.
    """
    for name in ("scorers", "metrics", "journal"):
        if not isinstance(config[name], Mapping):
            raise ValueError(f"{name}={config[name]!r} is no option: {_OPTIONS[name]}")
    if "overrides" not in config:
        _check_keys(config)
    checks.text(**_given(config, "study", "output_dir"))
    checks.whole_from(1, **_given(config, "block_size", "workers"))
    checks.whole_from(0, **_given(config, "samples"))
    if config["batch_size"] is not None:
        checks.whole_from(1, batch_size=config["batch_size"])
    journal = {f"journal.{name}": value for name, value in config["journal"].items()}
    checks.above(0, **_given(journal, "journal.patience"))
    checks.within(0, math.inf, **_given(journal, "journal.limit_gb"))
    if journal.get("journal.probe_sigma") is not None:
        checks.above(0, **_given(journal, "journal.probe_sigma"))
    for name, value in _given(config, "progress", "debug").items():
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r} is neither true nor false")
    if not isinstance(config["sampler"], Mapping):
        raise ValueError(
            f"sampler={config['sampler']!r} is no option: sampler._target_=scaling.sampling.Heun, or Euler"
        )


def _check_keys(config: Mapping[str, Any]) -> None:
    """A ValueError names the first key that nothing reads, as a + before a misspelt one adds it, and the nearest."""
    for group, known in KEYS.items():
        for key in map(str, config[group] if group else config):
            if key in known or (not group and key in _BESIDE):
                continue
            whole = f"{group}.{key}" if group else key
            if new := renamed(whole):
                raise ValueError(f"{whole} is called {new} by now")
            if whole == "experiment":
                raise ValueError("experiment is no key of the configuration: a preset begins with # @package _global_")
            near = get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f"did you mean {group}{'.' * bool(group)}{near[0]}? " if near else ""
            raise ValueError(f"{whole} is no key of the configuration; {hint}valid: {', '.join(known)}")


def _given(node: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: node[name] for name in names if name in node}


def check_types(where: str, node: Any) -> None:
    """A ValueError names the key of a value that its parameter cannot take; `where` is the key of the node.

    Parameters of plain types alone are looked at: what `no` or `0` means for one that is true or false is not guessed.
    """
    if isinstance(node, list):
        for place, each in enumerate(node):
            check_types(f"{where}.{place}", each)
    if not isinstance(node, Mapping):
        return
    kind = class_of(str(node.get("_target_", "")))
    known = inspect.signature(kind).parameters if kind is not None and is_ours(kind) else {}
    for name, value in node.items():
        if name in known:
            _check(f"{where}.{name}", value, str(known[name].annotation))
        check_types(f"{where}.{name}", value)


def _check(key: str, value: Any, annotation: str) -> None:
    types = [each.strip() for each in annotation.split("|")]
    if all(each in _TYPES for each in types) and not any(_TYPES[each][1](value) for each in types):
        wanted = " or ".join(_TYPES[each][0] for each in types)
        quoted = f": quote it, as {key}='\"{value}\"'" if "str" in types and isinstance(value, Real) else ""
        raise ValueError(f"{key}={value!r} must be {wanted}{quoted}")
