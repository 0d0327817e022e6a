"""What runs of equal settings were made of: code, weights, versions, files; a configuration says nothing of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.analysis.runs.folder import Run
from scaling.contents import CONTENT, NAMED_FILES

DIGEST = re.compile(r"(.* )?[0-9a-f]{16,}")
KINDS = ("code", "weights", "version", CONTENT, NAMED_FILES)
IN_STREAMS = ("denoiser", "sampler", "schedule", "whole_schedule", "search", "conditions")
BESIDE = ("verifiers", "extractors", "judges", "final_denoiser")
SHOWN = 6  # digits of a digest


def made_of(runs: Sequence[Run]) -> list[str]:
    """What each of some runs of equal settings was made of where they differ, as json; empty where they agree.

    What one of them does not say (it is of an earlier version, or measured less) is no difference.
    """
    facts = [_facts_of(run) for run in runs] if len(runs) > 1 else []
    paths = sorted({path for each in facts for path in each})
    differing = [path for path in paths if len({each[path] for each in facts if path in each}) > 1]
    if not differing:
        return [""] * len(runs)
    return [json.dumps({path: each.get(path, "") for path in differing}) for each in facts]


def words_of(made: str) -> dict[str, str]:
    """What `made_of` says in words, e.g. redness code: ad125c."""
    return {_words(path): value[-16:][:SHOWN] or "unknown" for path, value in json.loads(made or "{}").items()}


def _words(path: str) -> str:
    parts = path.split("/")
    named = parts[1] if parts[0] in BESIDE and len(parts) > 2 else parts[0]
    return f"{named} {next((part for part in reversed(parts) if part in KINDS), parts[-1])}"


def _facts_of(run: Run) -> dict[str, str]:
    """Digests and versions of a run's parts by where they stand; what differs between its own rungs is left out."""
    found: dict[str, set[str]] = {}
    for each in getattr(run, "runs", (run,)):
        identities = each.environment.get("identities") or {}
        for stream in (identities.get("streams") or {}).values():
            for name in IN_STREAMS:
                _collect(name, stream.get(name), found)
        for name in BESIDE:
            _collect(name, identities.get(name), found)
    return {path: next(iter(values)) for path, values in found.items() if len(values) == 1 and _is_lasting(path)}


def _is_lasting(path: str) -> bool:
    """Whether it is no parameter of a search, which may be fitted to a budget."""
    parts = path.split("/")
    return parts[0] != "search" or any(part in KINDS for part in parts)


def _collect(path: str, value: Any, into: dict[str, set[str]]) -> None:
    if isinstance(value, Mapping):
        if "name" in value or "class" in value:  # a part that says no version has its first
            into.setdefault(f"{path}/version", set()).add(str(value.get("version", 1)))
        for name, each in value.items():
            _collect(f"{path}/{name}", each, into)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            _collect(f"{path}/{place}", each, into)
    elif isinstance(value, str) and DIGEST.fullmatch(value):
        into.setdefault(path, set()).add(value)
