"""Whose results a run's folder holds: those of this run, or of another whose differences are named, key by key."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.checks import holds
from scaling.contents import CONTENT, NAMED_FILES
from scaling.files import Damaged, read_json
from scaling.output.run_folder import write_json

FORMAT = 3  # of identities: 1 knew no samplers' parameters, whole schedules, metrics and others' code; 2 knew too much
# of metrics: the path of their reference, and what torchmetrics keeps for itself
STAYS = ("config.yaml", "error.txt", "inputs.json", "wandb")  # of a folder whose results are made anew; logs stay, too


def claim(folder: Path, description: Mapping[str, Any], renew: bool) -> None:
    """Writes what describes a run (with its `identities`) into its folder.

    Where the folder holds the results of another run, those are removed with `renew`; else a ValueError names what
    differs. What was paid for them stays in the journal. An older description that lacks a key cannot be compared
    there, which is said once.
    """
    new = json.loads(json.dumps(description))
    old = recorded(folder)
    if old is not None and (differing := _differing(folder, old, new)):
        if not renew:
            raise ValueError(
                f"{folder} holds another run: {'; '.join(differing)}. Choose another name for this one, or delete "
                "that folder to compute it anew (what was paid stays in the journal)"
            )
        _say(f"{folder}: {'; '.join(differing)}. Its results are computed anew")
        remove_results(folder)
    write_json(folder / "environment.json", {**description, "format": FORMAT})


def recorded(folder: Path) -> dict[str, Any] | None:
    """What a folder says of its run; None where it says nothing that can be read."""
    try:
        description = read_json(folder / "environment.json")
    except (OSError, Damaged):
        return None
    return description if isinstance(description.get("identities"), dict) else None


def recorded_batch(folder: Path) -> int | None:
    """The batch size that a folder's results were begun with, on whatever device; None where there are none."""
    streams = (recorded(folder) or {}).get("identities", {}).get("streams", {})
    return next((stream.get("batch_size") for stream in streams.values()), None)


def remove_results(folder: Path) -> None:
    """Removes what a run's folder shows, first what says that it is done; its description comes last."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.name != "cost.json", path.name == "environment.json")):
        if path.name in STAYS or path.suffix == ".log" or path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _differing(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs, in words; of an older format what it does not know is passed over, with a word."""
    before, now = old["identities"], new["identities"]
    whole = differences(before, now, strict=True)
    if old.get("format", 1) >= FORMAT:
        found = [path for path in whole if not _is_content_of_path(path, before, now)]
    else:
        found = differences(before, now)
    if unknown := sorted({path[-1] for path in whole if path not in found and holds(now, path)}):
        _say(f"{folder}: made before {', '.join(unknown)} was recorded, which cannot be compared: taken for the same")
    return list(dict.fromkeys(_word(path, before, now) for path in found))


def _is_content_of_path(path: tuple[str, ...], before: Any, now: Any) -> bool:
    """Whether it is a file's content that identities of this format did not know at first, but its path or nothing."""
    if path[-1] == NAMED_FILES:
        return not holds(before, path)
    for key in path:
        before, now = ((each or {}).get(key) for each in (before, now))
    return isinstance(before, str) and isinstance(now, Mapping) and set(now) == {CONTENT}


def _word(path: tuple[str, ...], before: Any, now: Any) -> str:
    """A difference as a person reads it, with the values where they are short."""
    for key in path:
        before, now = ((each or {}).get(key) for each in (before, now))
    shown = path[2:] if path[0] == "streams" and len(path) > 2 else path  # there is one for each rung, all alike
    name = ".".join(key for key in shown if key not in ("made_by", "code"))
    if path[-1] == "code":
        return f"the code of {name} has changed"
    if any(isinstance(value, Mapping | list) or len(str(value)) > 40 for value in (before, now)):
        return f"{name} has changed"
    return f"{name} was {before}, now {now}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def differences(old: Any, new: Any, strict: bool = False, where: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of keys under which two identities differ.

    Only if `strict` a key that one of them lacks differs, and parameters from a mere name.
    """
    mappings = isinstance(old, Mapping) + isinstance(new, Mapping)
    if mappings < 2:
        return [where] if old != new and (strict or not mappings) else []
    keys = dict.fromkeys([*old, *new]) if strict else [key for key in old if key in new]
    return [path for key in keys for path in differences(old.get(key), new.get(key), strict, (*where, key))]
