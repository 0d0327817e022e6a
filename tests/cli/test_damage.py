"""What a command says and does where files of a study are damaged, gone, or written by two at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import make_run

from scaling.cli.study.command import main

LINE = ["model=gaussian_mixture", "conditions.count=4", "block_size=4", "batch_size=8", "logger=none", "samples=0"]
LINE += ["progress=false", "budget.candidates=[1,2]"]
Command = Callable[..., None]


@pytest.mark.parametrize("name", ["cost.json", "environment.json", "inputs.json", "winners.parquet"])
def test_the_same_command_mends_a_damaged_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command, name: str
) -> None:
    command(*LINE, f"output_dir={tmp_path}")
    [folder] = [path.parent for path in tmp_path.glob("default/*/curve.csv")]
    before = {path.name: path.read_bytes() for path in folder.glob("*.[cp][sa]*")}
    (folder / name).write_bytes(b"")
    capsys.readouterr()
    command(*LINE, f"output_dir={tmp_path}")
    said = capsys.readouterr()
    assert f"{name} is damaged" in said.out + said.err
    assert {path.name: path.read_bytes() for path in folder.glob("*.[cp][sa]*")} == before
    command(*LINE, f"output_dir={tmp_path}")
    assert "already finished" in capsys.readouterr().out


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Four runs, of which three are damaged."""
    for name in ("good", "empty", "garbage", "cut"):
        make_run(tmp_path / "study", name, conditions=40, images=False)
    (tmp_path / "study" / "empty" / "cost.json").write_bytes(b"")
    (tmp_path / "study" / "garbage" / "config.yaml").write_bytes(b"{: \x00")
    table = tmp_path / "study" / "cut" / "winners.parquet"
    table.write_bytes(table.read_bytes()[:-40])
    return tmp_path / "study"


COMMANDS = {
    "show": (),
    "report": (),
    "advise": ("--budget", "80", "--metric", "classifier"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_bad_runs_are_a_line_each_and_the_good_one_is_shown(
    study: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main([name, str(study), *COMMANDS[name]]) == 0
    said = capsys.readouterr().err.splitlines()
    for run, file in (("empty", "cost.json"), ("garbage", "config.yaml"), ("cut", "winners.parquet")):
        assert sum(f"{run} is left out" in line and file in line for line in said) == 1
    if name == "report":
        page = (study / "report.html").read_text()
        assert "A run is left out" in page and "winners.parquet is damaged" in page


def test_where_all_runs_are_bad_the_first_one_is_named(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(study / "good")
    assert main(["show", str(study)]) == 1
    assert "winners.parquet is damaged" in capsys.readouterr().err


def test_rungs_of_a_run_that_followed_no_candidate_blind_no_other(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(study, "another", conditions=40, images=False)
    assert main(["rungs", str(study)]) == 0
    assert capsys.readouterr().out.count("did not follow every candidate") == 2


def test_a_run_without_a_curve_is_no_bad_one(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "empty" / "curve.csv").unlink()
    assert main(["show", str(study)]) == 0
    assert "empty is left out" not in capsys.readouterr().err


@pytest.mark.parametrize("to", [".", "..", "itself", "/nowhere"])
def test_an_export_names_a_link_that_leads_nowhere_or_round(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], to: str
) -> None:
    run = make_run(tmp_path / "study", conditions=40, images=False)
    (run / "itself").symlink_to(to)
    out = tmp_path / "out" / "study.tar.gz"
    assert main(["export", str(tmp_path / "study"), "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert str(run / "itself") in said and len(said.splitlines()) == 1
    assert not list(out.parent.glob("*"))


def test_an_export_follows_a_link_out_of_the_folder(tmp_path: Path) -> None:
    run = make_run(tmp_path / "study", conditions=40, images=False)
    (tmp_path / "elsewhere").write_text("what it points to")
    (run / "linked").symlink_to(tmp_path / "elsewhere")
    out = tmp_path / "study.tar.gz"
    assert main(["export", str(tmp_path / "study"), "--out", str(out)]) == 0
    with tarfile.open(out) as archive:
        [member] = [each for each in archive.getmembers() if each.name.endswith("linked")]
        assert member.isfile() and archive.extractfile(member).read() == b"what it points to"


@pytest.mark.slow
def test_the_same_command_twice_at_once_gives_equal_results_and_no_error(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "scaling", *LINE, "samples=2", "budget.candidates=[1,2,4]"]
    options = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(line, **options) for _ in range(2)]
    for process in both:
        errors = process.communicate(timeout=300)[1]
        assert process.returncode == 0, errors
    subprocess.run([*line, "output_dir=alone"], cwd=tmp_path, check=True, capture_output=True)
    [together] = tmp_path.glob("outputs/default/*/curve.csv")
    [alone] = tmp_path.glob("alone/default/*/curve.csv")
    assert together.read_text() == alone.read_text()
    assert not (together.parent / "error.txt").exists()
    assert not list(tmp_path.rglob("*.part"))
