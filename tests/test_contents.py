"""Who names a file is named by what it holds; what is no file that a part reads stays a word."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from scaling.contents import by_content, files_named_by, files_of_command
from scaling.files import user_path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("head.pt").write_text("one")
    Path("models/deep").mkdir(parents=True)
    Path("models/deep/a.bin").write_text("a")
    return tmp_path


def test_a_path_is_its_content_wherever_it_lies() -> None:
    shutil.copy("head.pt", "models/other.pt")
    names = [by_content("weights", value) for value in ("head.pt", Path("head.pt"), "models/other.pt")]
    assert names[0] == names[1] == names[2] and set(names[0]) == {"content"}
    Path("head.pt").write_text("two")
    assert by_content("weights", "head.pt") != names[0]


def test_a_folder_is_all_that_is_in_it_and_values_within_values_count() -> None:
    before = by_content("more", {"extra": [1, "./models"]})
    Path("models/deep/a.bin").write_text("b")
    after = by_content("more", {"extra": [1, "./models"]})
    assert before["extra"][0] == 1 and before != after


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "models"),  # a word that happens to be a folder's name
        ("cache_dir", "./models"), ("log", "head.pt"), ("output", "head.pt"),  # written, not read
        ("path", "."), ("path", ""), ("path", ".."), ("path", "/"),  # all that is done lies in it
        ("path", "x" * 5000), ("path", "a\0b"), ("path", "nowhere.pt"), ("prompt", "a fox / a hen."), ("path", 3),
    ],
)  # fmt: skip
def test_what_is_no_file_that_is_read_is_itself(name: str, value: Any) -> None:
    assert by_content(name, value) == value


def test_the_word_work_within_network_writes_nothing() -> None:
    assert by_content("network_path", "head.pt") != "head.pt"


def test_files_that_code_names_are_seen_from_here_and_from_beside_it() -> None:
    Path("models/code.py").write_text("import os\na = 'a.pt'\nb = os.path.join('models', 'head.pt')\nc = f'{a}.npy'\n")
    assert files_named_by([Path("models/code.py")], (".pt",)) == [Path("head.pt").resolve()]
    Path("models/a.pt").write_text("")
    named = files_named_by([Path("models/code.py")], (".pt",))
    assert {path.name for path in named} == {"a.pt", "head.pt"}
    Path("models/code.py").write_text("what is 'head.pt' no code")
    assert files_named_by([Path("models/code.py")], (".pt",)) == []


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (["python", "judge.py", "--head", "head.pt"], ["judge.py", "head.pt"]),
        (["bash", "-c", "python judge.py | sort"], ["judge.py"]),
        (["./run.sh"], ["run.sh", "judge.py"]),
        (["python", "-m", "pack"], ["pack/__main__.py"]),
        (["python", "-m", "pack.inner", "head.pt"], ["pack/inner.py", "head.pt"]),
        (["python", "-m", "json"], []),
        (["echo", "it's unbalanced"], []),
        (["loop.sh"], ["loop.sh"]),
    ],
)
def test_the_files_of_a_command(command: list[str], found: list[str]) -> None:
    Path("pack").mkdir()
    for name in ("judge.py", "pack/__main__.py", "pack/inner.py"):
        Path(name).write_text("")
    Path("run.sh").write_text("#!/bin/sh\n# it's here\nexec python judge.py\n")
    Path("loop.sh").write_text("./loop.sh\n")
    assert [str(path) for path in files_of_command(command)] == found
    assert files_of_command([sys.executable]) == [Path(sys.executable)]  # as it always was


def test_a_tilde_that_is_nobodys_is_a_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a.csv") == tmp_path / "a.csv"
    assert user_path("~nobody-of-this-name/a.csv") == Path("~nobody-of-this-name/a.csv")
    assert by_content("prompt", "~nobody-of-this-name/fox") == "~nobody-of-this-name/fox"
