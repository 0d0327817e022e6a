"""What the end of a command says."""

from __future__ import annotations

import json
from pathlib import Path

from scaling.notices import keep_notices, notice, take_notices


def test_equal_keys_count_once_and_are_taken_once() -> None:
    take_notices()  # of tests before
    notice("{n} prompts were cut", ["a", "b", "a"])
    notice("{n} prompts were cut", ["b"])
    notice("{n} images are black", [])
    assert take_notices() == ["2 prompts were cut"]
    assert take_notices() == []


def test_a_run_keeps_them_over_attempts_and_says_them_again(tmp_path: Path) -> None:
    take_notices()
    notice("{n} prompts were cut", ["a", ("b", 2)])
    keep_notices(tmp_path)
    assert take_notices() == ["2 prompts were cut"]
    notice("{n} prompts were cut", ["c", "a"])  # of the rest, after a kill
    keep_notices(tmp_path)
    assert take_notices() == ["3 prompts were cut"]
    keep_notices(tmp_path)  # all is there already: nothing was computed
    assert take_notices() == ["3 prompts were cut"]
    assert len(json.loads((tmp_path / "notices.json").read_text())["{n} prompts were cut"]) == 3


def test_what_says_nothing_leaves_no_file_and_a_damaged_one_stops_nothing(tmp_path: Path) -> None:
    take_notices()
    keep_notices(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notices.json").write_text("{")
    notice("it is so")
    keep_notices(tmp_path)
    assert take_notices() == ["it is so"]
