"""Files are there whole or not at all; what writes them at the same time does not meet."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from scaling.files import Damaged, read_json, replacing


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.csv"
    with replacing(path) as first, replacing(path) as second:
        assert len({first, second, path}) == 3 and first.parent == second.parent == path.parent
        first.write_text("first")
        second.write_text("second")
        assert not path.exists()
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text("new")
        _ = 1 / 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00", '{"a": 1'])
def test_json_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    assert read_json(path) == {}
    path.write_text(content)
    with pytest.raises(Damaged, match=r"a\.json is damaged \(") as caught:
        read_json(path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
