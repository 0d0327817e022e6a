"""All jobs of a command are looked at before the first one runs: what cannot run is said while nothing was paid."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.cli.errors import one_line

Job = tuple[Mapping[str, Any], list[str]]  # a configuration, and the overrides that made it
FOUND = "SCALING_FAULTS_FOUND"  # set where a command has said its jobs' faults already


def looked_at(jobs: Sequence[Job], plan: bool = False) -> tuple[list[Any], dict[str, str]]:
    """The studies that can run, without weights, and the fault of every other job by its folder's name.

    With `plan` models are built where no outline of them is known, so that their cost can be told.
    """
    from scaling.config.outline import outline_of

    studies, faults = [], {}
    for config, overrides in jobs:
        try:
            studies.append(_study(config, overrides) if plan else outline_of(config, overrides, build_model=False))
        except Exception as error:  # a user's part may raise anything
            faults[_called(config, overrides)] = one_line(error)
    return studies, faults


def _called(config: Mapping[str, Any], overrides: list[str]) -> str:
    """The study and folder of a job; what was typed for one whose settings name none."""
    from scaling.config.run_name import run_name
    from scaling.config.settings import check_settings

    try:
        check_settings(config)
        return f"{config['study']}/{run_name(config, overrides)}"
    except ValueError:
        return " ".join(overrides)


def _study(config: Mapping[str, Any], overrides: list[str]) -> Any:
    """What a plan adds up: an outline, or the study itself where its ladder is priced by its parts."""
    from scaling.config.build import study_of
    from scaling.config.outline import outline_of

    if config["budget"].get("seconds"):
        raise ValueError("budget.seconds is priced where it runs; plan the same with budget.gflops or budget.nfe")
    return study_of(config, overrides) if config["budget"].get("gflops") else outline_of(config, overrides)


def words(faults: Mapping[str, str], jobs: int) -> list[str]:
    """A line for each fault, with the first job that has it and how many others do."""
    having: dict[str, list[str]] = {}
    for name, fault in faults.items():
        having.setdefault(fault, []).append(name)
    left = jobs - len(faults)
    goes_on = f"the other {left} run" if left > 1 else "the other one runs" if left else "nothing is run"
    lines = [f"{len(faults)} of {jobs} jobs cannot run as they are; {goes_on}:"]
    for fault, names in having.items():
        others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        lines.append(f"  {names[0]}{others}: {fault}")
    return lines


def already_said() -> bool:
    """Whether this command has said the faults of its jobs, in whatever process they run."""
    return FOUND in os.environ
