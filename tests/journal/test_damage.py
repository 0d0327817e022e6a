"""A damaged journal gives a prefix of what was written, never something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scaling.journal.block import Block
from scaling.journal.lease import LeaseLost, Leases
from scaling.journal.records import RecordFile
from scaling.protocols import Condition

CONDITIONS = [Condition(class_label=i) for i in range(3)]


def keys(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, np.int64)


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """Three records of a scalar and a tensor column."""
    with Leases().wait(tmp_path) as lease:
        block = Block(tmp_path, CONDITIONS, lease)
        for i in range(3):
            block.write(keys((i, 0), (i, 1)), {"score": np.array([i, i + 0.5]), "x": np.full((2, 2), i, np.float32)})
    return next(tmp_path.glob("*.journal"))


def known(folder: Path) -> Iterator[tuple[int, int, float, float]]:
    block = Block(folder, CONDITIONS)
    for place, row in np.argwhere(~np.isnan(block.dense("score"))):
        key = keys((place, row))
        yield int(place), int(row), float(block.get("score", key)[0]), float(block.get("x", key)[0, 0])


WRITTEN = [(i, j, i + j / 2, float(i)) for i in range(3) for j in range(2)]


def test_what_was_written_is_read(segment: Path) -> None:
    assert list(known(segment.parent)) == WRITTEN


def test_a_segment_cut_anywhere_is_a_prefix(segment: Path) -> None:
    raw = segment.read_bytes()
    seen = set()
    for end in range(len(raw)):
        segment.write_bytes(raw[:end])
        rows = list(known(segment.parent))
        assert rows == WRITTEN[: len(rows)]
        seen.add(len(rows))
    assert seen == {0, 2, 4}


def test_a_flipped_bit_anywhere_is_noticed(segment: Path) -> None:
    raw = bytearray(segment.read_bytes())
    for at in range(len(raw)):
        raw[at] ^= 1 << at % 8
        segment.write_bytes(raw)
        rows = list(known(segment.parent))
        assert rows == WRITTEN[: len(rows)]
        assert len(rows) < len(WRITTEN)
        raw[at] ^= 1 << at % 8


def test_a_later_segment_mends_a_damaged_one(segment: Path) -> None:
    raw = segment.read_bytes()
    segment.write_bytes(raw[: len(raw) // 2])
    with Leases().wait(segment.parent) as lease:
        block = Block(segment.parent, CONDITIONS, lease)
        missing = [row for row in WRITTEN if not block.has("score", keys(row[:2])).all()]
        assert missing
        for place, row, score, x in missing:
            block.write(keys((place, row)), {"score": np.array([score]), "x": np.full((1, 2), x, np.float32)})
    assert list(known(segment.parent)) == WRITTEN
    assert len(raw) // 2 == segment.stat().st_size


def test_the_first_write_wins(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        with Leases().wait(tmp_path) as lease:
            Block(tmp_path, CONDITIONS, lease).write(keys((0, 0)), {"score": np.array([value])})
    assert Block(tmp_path, CONDITIONS).dense("score")[0, 0] == 1.0


def test_a_writer_whose_lease_was_taken_writes_no_more(tmp_path: Path) -> None:
    lease = Leases(0.1).wait(tmp_path)
    block = Block(tmp_path, CONDITIONS, lease)
    lease.abandon()
    with Leases(0.1).wait(tmp_path), pytest.raises(LeaseLost):
        block.write(keys((0, 0)), {"score": np.array([1.0])})


def test_a_writer_that_slept_through_its_check_harms_nobody(tmp_path: Path) -> None:
    lease = Leases(0.1).wait(tmp_path)
    late = Block(tmp_path, CONDITIONS, lease)
    late.write(keys((0, 0)), {"score": np.array([1.0])})
    lease.abandon()
    with Leases(0.1).wait(tmp_path) as new:
        block = Block(tmp_path, CONDITIONS, new)
        block.write(keys((1, 0)), {"score": np.array([2.0])})
        lease.check = lambda: None  # type: ignore[method-assign]
        late.write(keys((2, 0)), {"score": np.array([3.0])})
        block.write(keys((1, 1)), {"score": np.array([4.0])})
    np.testing.assert_array_equal(Block(tmp_path, CONDITIONS).dense("score"), [[1, np.nan], [2, 4], [3, np.nan]])


def test_another_studys_conditions_are_refused(segment: Path) -> None:
    with pytest.raises(ValueError, match="other conditions"):
        Block(segment.parent, [Condition(class_label=7), *CONDITIONS[1:]])


def test_dropped_bytes_are_counted(segment: Path) -> None:
    with open(segment, "ab") as file:
        file.write(b"torn")
    assert RecordFile(segment).dropped == 4
