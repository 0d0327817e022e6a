"""A class of ours whose answers change raises its version, so that no run is served with answers of before."""

from __future__ import annotations

import pytest
import torch
import versions

from scaling.identity import identity_of

TABLE = versions.written()


@pytest.mark.parametrize("name", versions.names())
def test_answers_are_those_of_the_version(name: str) -> None:
    torch.set_num_threads(1)
    part = versions.part(name)
    where = f"{part.kind.__module__}.{part.kind.__qualname__}"
    known = TABLE.get(part.name)
    assert known is not None, f"{part.name} is new: write its answers down, python tests/helpers/versions.py"
    assert part.version == known["version"], f"{where} has another version: python tests/helpers/versions.py"
    assert not versions.differ(part.answers(), known["answers"]), (
        f"{part.name} answers otherwise: if that is meant, raise `version` of {where} to {part.version + 1}, "
        "then python tests/helpers/versions.py"
    )


def test_all_that_are_written_down_are_there() -> None:
    assert sorted(TABLE) == sorted(versions.names())


def test_a_version_is_said_only_where_it_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    search = versions.part("search random").kind()
    before = identity_of(search)
    assert "version" not in before
    monkeypatch.setattr(type(search), "version", 2, raising=False)
    assert identity_of(search) == {**before, "version": 2}


def test_the_table_tells_answers_apart() -> None:
    same, other = versions.summary(torch.arange(4.0)), versions.summary(torch.tensor([0.0, 1, 3, 2]))
    assert not versions.differ(same, same)
    assert versions.differ(same, other)
