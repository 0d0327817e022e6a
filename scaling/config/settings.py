"""The plain settings of a run, checked where they enter: each error names the key, its value and what it may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scaling import checks


def check_settings(config: Mapping[str, Any]) -> None:
    """A ValueError where a setting is of another type than it can be, or out of its range; older runs lack some."""
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
    for name in ("scorers", "metrics"):
        if not isinstance(config[name], Mapping):
            raise ValueError(f"{name}={config[name]!r} is no option: +verifier@scorers.oracle=oracle, metrics=fashion")
    for name, value in _given(config, "progress", "debug").items():
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r} is neither true nor false")
    if not isinstance(config["sampler"], Mapping):
        raise ValueError(
            f"sampler={config['sampler']!r} is no option: sampler._target_=scaling.sampling.Heun, or Euler"
        )


def _given(node: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: node[name] for name in names if name in node}
