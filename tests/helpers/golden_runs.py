"""Runs whose results are pinned: two worlds under four searches, killed, resumed, climbed further, judged again.

`python tests/helpers/golden_runs.py` writes the results anew, where they change on purpose.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from scaling.config.build import study_of
from scaling.config.compose import grid
from scaling.runner.run import execute
from scaling.schema import SEARCH, Point, columns

GOLDEN = Path(__file__).parents[1] / "golden" / "runs.json.gz"
WORLDS = {
    "mixture": (
        ["model=gaussian_mixture", "conditions.count=6", "block_size=4", "batch_size=8"],
        ("control", "scaling.verifiers.oracle.Oracle"),
    ),
    "fashion_s": (
        ["model=fashion_s", "model.device=cpu", "conditions.count=24", "block_size=16", "batch_size=16", "samples=0"],
        ("classifier", "oracle"),
    ),
}
LADDERS = {"random": [1, 2, 4], "zero_order": [1, 3, 5], "smc": [2, 4], "dfs": [2, 4]}
TEXT = ("model", "verifier", "search", "metric", "prompt")


@contextmanager
def killing(denoiser: Any, at: int) -> Iterator[None]:
    """Dies at one of the denoiser's calls, as a process does that is killed."""
    kind, left = type(denoiser), at
    call = kind.__call__

    def dying(self: Any, *arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return call(self, *arguments)

    kind.__call__ = dying
    try:
        yield
    finally:
        kind.__call__ = call


def run(world: str, search: str, output_dir: Path) -> Iterator[tuple[str, Path]]:
    """Plays one search on one world; yields the name and the folder of each finished run."""
    common, verifiers = WORLDS[world]
    ladder = LADDERS[search]
    plays = [("first", verifiers[0], ladder), ("further", verifiers[0], [*ladder, 2 * ladder[-1]])]
    if not verifiers[1].startswith("scaling."):
        plays.append(("later verifier", verifiers[1], ladder))
    for name, verifier, rungs in plays:
        line = [*common, f"search={search}", f"verifier={verifier}", f"output_dir={output_dir}", f"study={search}"]
        line += [f"budget.candidates=[{','.join(map(str, rungs))}]", "logger=none", "progress=false"]
        [(config, overrides)] = grid(line)
        study = study_of(config, overrides)
        if name == "first":
            try:
                with killing(study.denoiser, at=9):
                    execute(study)
            except KeyboardInterrupt:
                pass
            else:
                raise AssertionError("the run ended before it was killed")
        yield name, execute(study)


def results(folder: Path) -> dict[str, Any]:
    """Everything that a run says, as json: tables column by column, and the streams that it read.

    Under the names that columns had when the results were pinned; `rung` and `budget_nfe` of the curve came later and
    are held by those of the winners, and so did what the schema says came later.
    """
    with open(folder / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    curve = {name: [row[name] if name in TEXT else float(row[name]) for row in rows] for name in rows[0]}
    candidates = [pq.read_table(path).to_pydict() for path in sorted((folder / "candidates").glob("*.parquet"))]
    winners = pq.read_table(folder / "winners.parquet").to_pydict()
    rungs = set(zip(curve.pop("rung"), curve.pop("budget_nfe"), strict=True))
    assert rungs == set(zip(winners["rung"], winners["budget_nfe"], strict=True))
    for column in columns(Point):
        if column.about.later:
            curve.pop(column.name)
    streams = json.loads((folder / "environment.json").read_text())["identities"]["streams"]
    return {
        "name": folder.name,
        "streams": sorted(hashlib.sha256(json.dumps(s, sort_keys=True).encode()).hexdigest() for s in streams.values()),
        "curve": curve,
        "winners": _former(winners, {"budget_nfe": "nfe"}, "score"),
        "candidates": [_former(table, {"spent_nfe": "nfe"}, None) for table in candidates],
    }


def _former(table: dict[str, list[Any]], names: dict[str, str], score: str | None) -> dict[str, list[Any]]:
    """A table under former names: scores of the search under `score`, or under their verifiers' names."""
    search = {name: score or name.removeprefix(SEARCH) for name in table if name.startswith(SEARCH)}
    return {{**names, **search}.get(name, name): values for name, values in table.items()}


def journal(output_dir: Path) -> list[str]:
    """The folders of all streams: their names are the digests of their identities."""
    return sorted(path.name for path in (output_dir / "journal").iterdir() if path.is_dir())


def play(world: str, search: str, output_dir: Path) -> dict[str, Any]:
    """All results of one search on one world."""
    torch.set_num_threads(1)
    runs = {name: results(folder) for name, folder in run(world, search, output_dir)}
    return {"runs": runs, "journal": journal(output_dir)}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        out = {f"{w} {s}": play(w, s, Path(scratch) / w / s) for w in WORLDS for s in LADDERS}
    GOLDEN.write_bytes(gzip.compress(json.dumps(out, default=_plain).encode(), mtime=0))
