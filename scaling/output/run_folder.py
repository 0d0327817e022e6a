"""A run's folder: what it is called and what describes it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from scaling.files import Damaged, read_json
from scaling.journal.stream import write_atomically

PACKAGES = (
    "scaling-study",
    "torch",
    "diffusers",
    "transformers",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "wandb",
    "numpy",
)
ROOM = 160  # characters of a folder's name but for the digest; file systems take 255


def slug(overrides: Sequence[str]) -> str:
    """Overrides as a part of a path that no shell needs quoted: `candidates-4__search-random`.

    Letters, digits, `_`, `.` and `-`, at most `ROOM` characters. Where they do not fit the longest are cut to equal
    lengths, at their fronts: short ones, as the budget and the seed, stay whole.
    """
    words = [word for line in overrides if (word := _word(line))]
    share = ROOM
    while words and sum(min(len(word), share) + 2 for word in words) - 2 > ROOM and share > 1:
        share -= 1
    return "__".join(word[-share:].lstrip("-_.") for word in words)[:ROOM]


def _word(override: str) -> str:
    """The last part of the key with its value: `budget.candidates=[1,2]` is `candidates-1-2`."""
    key, _, value = override.partition("=")
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", value.strip("[]{}() '\""))
    return f"{re.sub(r'[^A-Za-z0-9_]+', '', re.split(r'[.@]', key)[-1])}-{plain}".strip("-")


def environment(device: torch.device, identities: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, device, commit and what the parts call themselves (the hashes of their weights included)."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": _versions(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "git_commit": _commit(),
        "identities": identities,
    }


@cache
def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


@cache
def _commit() -> str | None:
    try:
        here = Path(__file__).parent
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def outputs_of(run: Path, study: str) -> Path:
    """The folder of all studies and their journal that this run of a study lies in; a ValueError where it does not."""
    above, depth = run.resolve().parents, len(Path(study).parts)  # paper/tab01 is a study's name too
    if depth >= len(above):
        raise ValueError(f"{run} lies in no folder of a study {study}: move it back to OUTPUTS/{study}/{run.name}")
    return above[depth]


def is_done(folder: Path) -> bool:
    """Whether a run's folder is complete."""
    return bool(account(folder).get("done"))


def account(folder: Path) -> dict[str, Any]:
    """What the folder says of the last curve that was written: nothing before the first, or where it is damaged."""
    try:
        return read_json(folder / "cost.json")
    except Damaged:
        return {}


def write_json(path: Path, value: Any) -> None:
    """Writes plain json, at once or not at all."""
    write_atomically(path, json.dumps(value, indent=1).encode())
