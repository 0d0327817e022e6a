"""What runs gave is what they give: to the last bit on the machine that wrote it, within rounding elsewhere."""

from __future__ import annotations

import gzip
import json
import math
import os
from pathlib import Path
from typing import Any

import golden_runs
import pytest

GOLDEN = json.loads(gzip.decompress(golden_runs.GOLDEN.read_bytes()))
EXACT = os.environ.get("SCALING_GOLDEN") == "exact"  # processors differ in the last bits of a convolution


@pytest.mark.parametrize("search", golden_runs.LADDERS)
@pytest.mark.parametrize("world", golden_runs.WORLDS)
def test_results_are_those_of_before(world: str, search: str, tmp_path: Path) -> None:
    played = golden_runs.play(world, search, tmp_path)
    compare(played, GOLDEN[f"{world} {search}"], f"{world} {search}")


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
