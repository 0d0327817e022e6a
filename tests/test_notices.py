"""What the end of a command says."""

from __future__ import annotations

from scaling.notices import notice, take_notices


def test_equal_keys_count_once_and_are_taken_once() -> None:
    notice("{n} prompts were cut", ["a", "b", "a"])
    notice("{n} prompts were cut", ["b"])
    notice("{n} images are black", [])
    assert take_notices() == ["2 prompts were cut"]
    assert take_notices() == []
