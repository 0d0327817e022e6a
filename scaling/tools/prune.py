"""A journal made smaller: samples go that can be made again from their seeds, scores and charges stay."""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from scaling.analysis.runs.folder import Run
from scaling.engine.retention import Retention, size
from scaling.files import Damaged, read_json
from scaling.journal.compact import Scores, compact
from scaling.journal.lease import LOOKS, Leases
from scaling.journal.stream import digest
from scaling.output.run_folder import outputs_of
from scaling.traits import SearchTraits

PAUSE = 0.1  # seconds between looks at blocks that somebody holds


@dataclass(frozen=True)
class Pruned:
    """What was done."""

    streams: int
    before: int  # bytes of all segments
    after: int
    held: int  # blocks that were left alone

    def text(self) -> str:
        """For people."""
        line = f"journal of {self.streams} stream{'s' * (self.streams != 1)}: {size(self.before)} before, "
        line += f"{size(self.after)} after"
        if self.held:
            line += f"; {self.held} blocks are at work and were left alone: issue this again when they are done"
        return line


def prune(folder: Path, retention: str = "winners", patience: float = 60.0) -> Pruned:
    """Drops from the streams of a study's or run's folder what this retention would not keep.

    Each block is rewritten under its lease, so never while somebody computes it; a block whose holder shows no sign of
    life for `patience` seconds is taken over. What was dropped is solved again from its seed where it is asked for. A
    ValueError where the folder holds no run, the runs' journal is not where they are, or the retention is unknown.
    """
    policy = Retention(retention)
    wanted = {path: partial(_wanted, policy, _reads(identity)) for path, identity in _streams(folder).items()}
    left = {block: want for path, want in wanted.items() for block in sorted(path.glob("block-*"))}
    blocks = list(left)
    before = _bytes(blocks)
    leases, end, looks = Leases(patience), time.monotonic() + 1.5 * patience, 0
    while True:
        looks += 1
        left = {block: want for block, want in left.items() if not _compacted(leases, block, want)}
        if not left or (time.monotonic() > end and looks > 1.5 * LOOKS):  # on a busy machine looks lie far apart
            return Pruned(len(wanted), before, _bytes(blocks), len(left))
        time.sleep(min(PAUSE, patience / 10))


def _compacted(leases: Leases, block: Path, wanted: Callable[[str, Scores], np.ndarray | bool]) -> bool:
    lease = leases.take(block)
    if lease is None:
        return False
    with lease:
        compact(block, lease, wanted)
    return True


def _wanted(retention: Retention, reads: Iterable[str], column: str, scores: Scores) -> np.ndarray | bool:
    return retention.of_column(column, reads, scores.values())


def _streams(folder: Path) -> dict[Path, Mapping[str, Any]]:
    """The folders of all streams that the runs use and that are there, with their identities."""
    found = [*folder.glob("environment.json"), *sorted(folder.glob("*/environment.json"))]
    if not found:
        raise ValueError(f"{folder} holds no run; give a study's or a run's folder, e.g. outputs/quickstart")
    streams: dict[Path, Mapping[str, Any]] = {}
    for path in found:
        identities = _identities(path)["streams"].values()
        streams |= {_journal(path.parent) / digest(identity): identity for identity in identities}
    present = {path: identity for path, identity in streams.items() if path.is_dir()}
    if not present:
        raise ValueError(f"{_journal(found[0].parent)} holds no stream of {folder}: prune it in its own outputs folder")
    return present


def _journal(run: Path) -> Path:
    """Of the outputs that the run lies in; of a run from Python, which records no study's name, the nearest above."""
    if (run / "config.yaml").exists():
        return outputs_of(run, Run(run).study) / "journal"
    above = run.resolve().parents
    return next((each / "journal" for each in above if (each / "journal").is_dir()), above[1] / "journal")


def _identities(path: Path) -> Mapping[str, Any]:
    found = read_json(path).get("identities")
    if not isinstance(found, dict):
        raise Damaged(path, "it does not say what decides the results")
    return found


def _reads(identity: Mapping[str, Any]) -> Iterable[str]:
    """What a stream's search reads of its answers, which its parameters may decide; all, where it cannot be built."""
    said = dict(identity["search"])
    try:
        kind = pkgutil.resolve_name(said.pop("name"))
        search = kind(**{name: said[name] for name in signature(kind).parameters if name in said})
    except (ImportError, AttributeError, TypeError, ValueError):
        return SearchTraits.reads
    return SearchTraits.of(search).reads


def _bytes(blocks: Iterable[Path]) -> int:
    return sum(path.stat().st_size for block in blocks for path in block.glob("*.journal"))
