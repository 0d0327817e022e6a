"""What a run's folder is called: what was typed, and a digest of all in its configuration that decides its results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from scaling.checks import holds, leaves
from scaling.config.renamed import former
from scaling.journal.stream import digest
from scaling.output.run_folder import slug
from scaling.parameters import left_at_default

Config = Mapping[str, Any]

# What decides no result of a run: where, in which order and with how many hands it computes, not what.
ELSEWHERE = (
    "output_dir",
    "study",
    "logger",
    "progress",
    "debug",
    "workers",
    "journal",
    "order",
    "calibration",
    "phases",
    "quick",  # what it made smaller is there itself
    "overrides",  # what was typed, in a run's own config.yaml
)


def run_name(config: Config, overrides: list[str]) -> str:
    """The name of a run's folder: a readable slug of what was overridden, and a digest of all that decides the results.

    A folder of the study that ends in this digest holds the run already, whatever stands before it.
    """
    decisive = deciding(config)
    lines = [line.lstrip("+") for line in overrides]
    named = [line for line in lines if _decides(line.lstrip("~").partition("=")[0], config, decisive)]
    choices = config["choices"]
    words = slug(named) or "-".join(choices[group] for group in ("model", "verifier", "search"))
    for key, value in leaves(decisive):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{key}={value} is no finite number")
    return _present(Path(config["output_dir"]) / config["study"], words, digest(decisive))


def _present(study: Path, words: str, ending: str) -> str:
    """The name of the run's folder where there is one, a finished one first; else the name that it gets."""
    name = f"{words}-{ending}"
    found = [] if (study / name).is_dir() else [path for path in study.glob(f"*-{ending}") if path.is_dir()]
    return min(found, key=lambda path: (not (path / "cost.json").is_file(), path.name)).name if found else name


def deciding(config: Config) -> dict[str, Any]:
    """The configuration without what decides no result: folders, logger, devices, memory, patience, spending."""
    decisive = {key: _deciding(value) for key, value in former(config).items() if key not in ELSEWHERE}
    for node in (decisive["model"], decisive["model"].get("draft")):
        if isinstance(node, dict):
            node.pop("device", None)
    for group in ("calibration", "quick"):
        decisive["choices"].pop(group, None)
    return decisive


def _deciding(node: Any) -> Any:
    """A copy without parameters that decide nothing by their class's word, or came later and are at their default."""
    if isinstance(node, Mapping):
        target = str(node.get("_target_", ""))
        without = execution_only(target) | left_at_default(class_of(target), node)
        return {key: _deciding(value) for key, value in node.items() if key not in without}
    return [_deciding(each) for each in node] if isinstance(node, list) else node


def execution_only(target: str) -> frozenset[str]:
    """What a class declares as deciding no result; nothing where it cannot be imported."""
    return frozenset(getattr(class_of(target), "execution_only", ()))


def class_of(target: str) -> Any:
    """The class or function of a dotted name; None where it cannot be imported."""
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except Exception:  # a module of others may raise anything
        return None


def _decides(key: str, config: Config, decisive: Config) -> bool:
    """Whether an override belongs into a run's name: it is no experiment, and its value is not one that is left out."""
    parts = key.split(".")
    return parts[0] not in (*ELSEWHERE, "experiment") and (not holds(config, parts) or holds(decisive, parts))
