"""What a process runs is what its results are named by, whatever its files hold by now."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from scaling.identity import identity_of
from scaling.loaded import content, edited

TEXT = "X = 1\nclass Judge:\n    def __call__(self, images):\n        return images * {}\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    (tmp_path / "loaded_judge.py").write_text(TEXT.format(1))
    yield importlib.import_module("loaded_judge")
    sys.modules.pop("loaded_judge")


def write(module: ModuleType, text: str) -> Path:
    path = Path(str(module.__file__))
    path.write_text(text)
    return path.resolve()


def test_a_module_is_named_by_what_was_imported_until_it_is_reloaded(module: ModuleType) -> None:
    before = identity_of(module.Judge())
    path = write(module, TEXT.format(2))
    assert identity_of(module.Judge()) == before and content(path) == TEXT.format(1).encode()
    assert any(line.startswith("loaded_judge.py was edited") for line in edited())
    module = importlib.reload(module)
    assert identity_of(module.Judge()) != before and content(path) == TEXT.format(2).encode()
    assert not any(line.startswith("loaded_judge.py") for line in edited())


@pytest.mark.parametrize("text", [TEXT.format(2), "\n" + TEXT.format(1), "class Judge:\n"])
def test_what_was_edited_before_the_first_look_is_refused(module: ModuleType, text: str) -> None:
    write(module, text)
    with pytest.raises(ValueError, match=r"loaded_judge.py was edited .*importlib.reload\(loaded_judge\)"):
        identity_of(module.Judge())
    write(module, TEXT.format(1))
    identity_of(module.Judge())


def test_an_edit_before_the_first_look_is_seen_behind_a_decorator(module: ModuleType) -> None:
    text = "import functools, torch\n@torch.no_grad()\ndef judge(images):\n    return images * {}\n"
    write(module, text.format(1))
    module = importlib.reload(module)
    write(module, text.format(2))
    with pytest.raises(ValueError, match=r"loaded_judge.py was edited"):
        identity_of(module.judge)


def test_a_file_that_no_module_is_from_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    for text in (b"a = 1\n", b"a = 2\n"):
        path.write_bytes(text)
        assert content(path.resolve()) == text
