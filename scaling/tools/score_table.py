"""The table of scored images: a row for each image that has a score, also of images of earlier calls."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scaling.output.tables import write_table
from scaling.schema import Candidate, names
from scaling.tools.image_files import ImageFile

EVERY = 30.0  # seconds between two writings of the table
COLUMNS = ("condition", "condition_key", "candidate", "path", "digest")
TAKEN = {*COLUMNS, "step", *names(Candidate)}  # columns of the table, and those that its reader takes for no score
IDENTITIES = b"scaling.verifiers"  # where in the parquet file's metadata the verifiers' digests are
Key = tuple[str, str]  # the condition's key and the digest of the image's file
Scores = dict[str, dict[Key, float]]  # by the verifier's column
Identities = dict[str, str]  # the verifiers' digests by their column


class Line(NamedTuple):
    """A row of the table without its scores."""

    condition: str  # as people call it
    key: Key
    candidate: int
    path: str


class Table:
    """The parquet file as it stands by now.

    Args:
        out: where it is written.
        before: the rows that it had. Those of other images than these stay, with their numbers: an image is the same
            where it lies at the same path, or has the same bytes and condition.
        images: those of this call by their path, with their keys. A number that another image of the condition has
            is counted up to the next free one.
        scores: what is known by now, for all rows.
        identities: of the verifiers.
    """

    def __init__(
        self,
        out: Path,
        before: Sequence[Line],
        images: Iterable[tuple[ImageFile, Key]],
        scores: Scores,
        identities: Identities,
    ) -> None:
        now = [Line(image.name, key, image.candidate, str(image.path)) for image, key in images]
        paths, keys = {os.path.abspath(line.path) for line in now}, {line.key for line in now}
        others = [line for line in before if line.key not in keys and os.path.abspath(line.path) not in paths]
        self.others = [line for line in others if _has_score(line, scores)]
        self._rows = [*self.others, *_numbered(now, self.others)]
        self._out, self._scores, self._identities = out, scores, identities
        self._written = time.monotonic()

    def lacking(self, names: Iterable[str]) -> int:
        """How many rows of other images lack a score by one of these verifiers."""
        known = [self._scores[name] for name in names]
        return sum(any(line.key not in each for each in known) for line in self.others)

    def write_now_and_then(self) -> bool:
        """Whether it was time to write it, and it was written."""
        due = time.monotonic() - self._written > EVERY
        if due:
            self.write()
        return due

    def write(self) -> None:
        """Writes it whole."""
        import pyarrow as pa

        rows = [line for line in self._rows if _has_score(line, self._scores)]
        columns = {
            "condition": pa.array([line.condition for line in rows], pa.string()),
            "condition_key": pa.array([line.key[0] for line in rows], pa.string()),
            "candidate": pa.array([line.candidate for line in rows], pa.int64()),
            "path": pa.array([line.path for line in rows], pa.string()),
            "digest": pa.array([line.key[1] for line in rows], pa.string()),
        }
        for name, known in self._scores.items():
            columns[name] = pa.array([known.get(line.key) for line in rows], pa.float64())
        table = pa.table(columns).replace_schema_metadata({IDENTITIES: json.dumps(self._identities)})
        write_table(self._out, table)
        self._written = time.monotonic()


def read_scores(out: Path) -> tuple[list[Line], Scores, Identities]:
    """The rows and scores that earlier calls left, and the digests of the verifiers that gave them."""
    if out.suffix != ".parquet":
        raise ValueError(f"--out {out}: scores are written as parquet, e.g. scores.parquet")
    if not out.exists():
        return [], {}, {}
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(out)
        identities: Identities = json.loads((table.schema.metadata or {})[IDENTITIES])
    except (pa.ArrowInvalid, KeyError):
        raise ValueError(f"{out} is there and not written by scaling-study score; name another file") from None
    cells = zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)
    lines = [Line(condition, (key, digest), number, path) for condition, key, number, path, digest in cells]
    scores: Scores = {}
    for name in identities:
        rows = zip(lines, table[name].to_pylist(), strict=True)
        scores[name] = {line.key: value for line, value in rows if value is not None}
    return lines, scores, identities


def _has_score(line: Line, scores: Mapping[str, Mapping[Key, float]]) -> bool:
    return any(line.key in known for known in scores.values())


def _numbered(now: Sequence[Line], others: Sequence[Line]) -> list[Line]:
    """The rows of this call, none with the number of another image of its condition."""
    taken: dict[str, set[int]] = defaultdict(set)
    for line in others:
        taken[line.key[0]].add(line.candidate)
    found = []
    for line in now:
        numbers, number = taken[line.key[0]], line.candidate
        while number in numbers:
            number += 1
        numbers.add(number)
        found.append(line._replace(candidate=number))
    return found
