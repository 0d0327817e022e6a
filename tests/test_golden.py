"""What runs gave is what they give: to the last bit on the machine that wrote it, within rounding elsewhere."""

from __future__ import annotations

import gzip
import json
import math
import os
from itertools import compress
from pathlib import Path
from typing import Any

import golden_runs
import pytest

from scaling.statistics import Interval, in_range

GOLDEN = json.loads(gzip.decompress(golden_runs.GOLDEN.read_bytes()))
NO_SCORES = ("condition", "candidate", "parent", "round", "nfe", "t", "cosine")
EXACT = os.environ.get("SCALING_GOLDEN") == "exact"  # processors differ in the last bits of a convolution


@pytest.mark.parametrize("search", golden_runs.LADDERS)
@pytest.mark.parametrize("world", golden_runs.WORLDS)
def test_results_are_those_of_before(world: str, search: str, tmp_path: Path) -> None:
    played = golden_runs.play(world, search, tmp_path)
    pinned = GOLDEN[f"{world} {search}"]
    runs = {
        name: {**run, "candidates": own_candidates(run), "curve": within_ranges(run["curve"])}
        for name, run in pinned["runs"].items()
    }
    compare(played, {**pinned, "runs": runs}, f"{world} {search}")


def own_candidates(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the pinned tables what is the run's own: other runs of its stream wrote into them too at that time."""
    metrics, largest = set(run["curve"]["metric"]), max(run["winners"]["nfe"])
    tables = []
    for table in run["candidates"]:
        names = [name for name in table if name in NO_SCORES or name in metrics]
        inside = [nfe <= largest for nfe in table["nfe"]]
        tables.append({name: list(compress(table[name], inside)) for name in names})
    return tables


def within_ranges(curve: dict[str, Any]) -> dict[str, Any]:
    """The pinned curve with bounds within what each metric can be: they were written as computed at that time."""
    rows = zip(curve["metric"], curve["value"], curve["ci_low"], curve["ci_high"], strict=True)
    low, high = zip(*(in_range(metric, Interval(*bounds))[1:] for metric, *bounds in rows), strict=True)
    return {**curve, "ci_low": list(low), "ci_high": list(high)}


def compare(new: Any, old: Any, where: str) -> None:
    """Equal in structure, names and counts; floats equal, or close where the machine may be another."""
    if isinstance(old, dict):
        assert new.keys() == old.keys(), where
        for key in old:
            compare(new[key], old[key], f"{where} / {key}")
    elif isinstance(old, list):
        assert len(new) == len(old), where
        for place, (mine, theirs) in enumerate(zip(new, old, strict=True)):
            compare(mine, theirs, f"{where}[{place}]")
    elif isinstance(old, float) and not EXACT:
        assert (math.isnan(new) and math.isnan(old)) or math.isclose(new, old, rel_tol=1e-3, abs_tol=1e-3), where
    else:
        assert new == old or (new != new and old != old), where
