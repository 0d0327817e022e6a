"""Files of a run's folder that are damaged or gone: named, and made again without a new evaluation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from studies import mixture, study

import scaling
from scaling.conditions.class_labels import ClassLabels
from scaling.engine import batch_size as shapes
from scaling.files import Damaged
from scaling.notices import take_notices
from scaling.output.block_result import load, save
from scaling.runner.ledger import account_of
from scaling.runner.study import Study
from scaling.search.smc import Smc
from scaling.tools.status import Status, statuses, text


class Counted:
    """The mixture, and the rows that it was asked for."""

    def __init__(self) -> None:
        self._inner, self.rows = mixture(), 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def __call__(self, x: torch.Tensor, *rest: object) -> object:
        self.rows += len(x)
        return self._inner(x, *rest)  # type: ignore[arg-type]


SEARCHES = {"random": {}, "sized": {"search": Smc()}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of a run of each search, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    for name in SEARCHES:
        scaling.run(planned(folder / name, name))
    return folder


def planned(folder: Path, search: str) -> Study:
    conditions = ClassLabels(count=20, classes=2)
    return study(
        folder, denoiser=Counted(), names={"model": "gaussianmixture"}, conditions=conditions, **SEARCHES[search]
    )


@pytest.fixture(params=SEARCHES)
def run(request: pytest.FixtureRequest, finished: Path, tmp_path: Path) -> Study:
    """A finished run; all that is asked of its model now is new."""
    shutil.copytree(finished / request.param, tmp_path, dirs_exist_ok=True)
    return planned(tmp_path, request.param)


def shown(folder: Path) -> dict[str, bytes]:
    """Everything that the run's folder shows, and what it paid."""
    paths = [path for path in folder.rglob("*") if path.suffix in (".csv", ".parquet", ".png")]
    paid = json.loads((folder / "cost.json").read_text())["paid"]["nfe"]  # pictures are decoded again
    return {**{str(path.relative_to(folder)): path.read_bytes() for path in paths}, "paid": str(paid).encode()}


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff not what it was")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


HARMS = [(name, harm) for name in ("cost.json", "environment.json", "winners.parquet") for harm in (empty, garbage)]
HARMS += [(name, remove) for name in ("curve.csv", "winners.parquet", "replicates.parquet", "environment.json")]
HARMS += [("curve.csv", empty), ("candidates", remove), ("replicates.parquet", cut)]


@pytest.mark.parametrize("run", ["random"], indirect=True)
@pytest.mark.parametrize(("name", "harm"), HARMS, ids=lambda value: getattr(value, "__name__", value))
def test_a_finished_runs_damage_is_named_and_mended_from_the_journal(
    run: Study, capsys: pytest.CaptureFixture[str], name: str, harm: Callable[[Path], None]
) -> None:
    folder = run.folder
    before = shown(folder)
    harm(folder / name)
    scaling.run(run)
    said = capsys.readouterr().err.splitlines()
    assert shown(folder) == before
    assert run.denoiser.rows == 0
    assert len(said) == 1 and name in said[0] and str(folder) in said[0]
    scaling.run(run)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("harm", [empty, cut, flip])
@pytest.mark.parametrize("run", ["random"], indirect=True)
@pytest.mark.parametrize("done", [True, False], ids=["curve gone", "unfinished"])
def test_a_damaged_block_file_is_named_and_computed_anew(
    run: Study, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], None], done: bool
) -> None:
    folder = run.folder
    before = shown(folder)
    harm(folder / "blocks" / "00001.npz")
    (folder / ("curve.csv" if done else "cost.json")).unlink()
    scaling.run(run)
    said = capsys.readouterr().err
    after = shown(folder)
    if not done:  # what the block cost stood in these two files alone
        del before["paid"], after["paid"]
    assert after == before
    assert run.denoiser.rows == 0
    assert "00001.npz is damaged" in said and "Traceback" not in said


def test_every_flipped_bit_of_a_block_file_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "00000.npz"
    save(path, {"rung/index": np.arange(40), "value/score": np.arange(4.0), "label": np.zeros(3, np.float32)})
    raw, before = path.read_bytes(), load(path)
    noticed = 0
    for at in range(0, len(raw), 3):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :])
        try:
            after = load(path, list(before))
        except Damaged:
            noticed += 1
            continue
        assert after.keys() == before.keys()
        assert all(np.array_equal(after[name], before[name], equal_nan=after[name].dtype.kind == "f") for name in after)
    assert noticed > len(raw) / 3 / 2


def test_damage_on_damage_still_knows_what_was_paid(run: Study) -> None:
    folder = run.folder
    before = shown(folder)
    for name in ("candidates", "curve.csv", "environment.json"):
        remove(folder / name)
        flip(folder / "blocks" / "00002.npz")
        scaling.run(run)
        assert shown(folder) == before
    (status,) = statuses_of(folder)
    assert status.nfe == int(before["paid"])


@pytest.mark.parametrize("run", ["random"], indirect=True)
def test_what_nobody_knows_any_more_to_have_been_paid_is_said(run: Study, capsys: pytest.CaptureFixture[str]) -> None:
    """The journal, which all runs share, does not know who paid."""
    folder = run.folder
    before = shown(folder)
    part = folder / "blocks" / "00001.npz"
    cost = account_of(part).cost.nfe
    garbage(part)
    garbage(folder / "cost.json")
    take_notices()
    scaling.run(run)
    after = shown(folder)
    assert int(after.pop("paid")) == int(before.pop("paid")) - cost and after == before
    said = capsys.readouterr().err
    assert "what 00001.npz had cost is not known" in said
    [line] = take_notices()
    assert line == "what 1 damaged files had cost is not known: it is missing from `paid` in cost.json"


def statuses_of(folder: Path) -> list:
    (folder / "config.yaml").touch()
    return statuses(folder.parent, look=0)


def test_one_bad_run_blinds_no_status(tmp_path: Path) -> None:
    for name, file in (
        ("good", None),
        ("bad", "environment.json"),
        ("worse", "cost.json"),
        ("cut", "blocks/00000.npz"),
    ):
        folder = scaling.run(study(tmp_path, run=name))
        (folder / "config.yaml").touch()
        if file:
            garbage(folder / file)
    lines = text(statuses(tmp_path / "study", look=0)).splitlines()
    for file in ("environment.json", "cost.json", "00000.npz"):
        assert sum(f"{file} is damaged" in line for line in lines) == 1
    assert lines[-1].startswith("4 runs: 3 done, 1 stopped")


NAME = "model-fashion_s__search-zero_order__verifier-classifier__candidates-1-2-4-8-0f4295c4c73aa583"
TWO = [Status(NAME[60:], "done", 3, 3, 1.0, 5120, 12.0), Status("b", "stopped", 1, 3, 1 / 3, 1700, 4.0, "no room")]


@pytest.mark.parametrize("width", [40, 60, 80, None])
def test_a_narrow_terminal_shows_fewer_columns_of_the_status_and_whole_words(width: int | None) -> None:
    lines = text(TWO, width).splitlines()[:-1]
    assert all(len(line) <= (width or 200) for line in lines)
    assert [line.split()[0] for line in lines if "blocks" in line] == ["done", "stopped"]
    assert any(line.endswith(f" {NAME[60:]}") for line in lines)
    assert ("5,120 NFE" in lines[0]) == (width != 60)  # at 40 the name has a line of its own
    assert any(line.strip() == "no room" for line in lines)


def test_a_name_that_is_longer_than_the_terminal_is_whole(tmp_path: Path) -> None:
    lines = text([Status(NAME, "done", 3, 3, 1.0, 5120, 12.0)], 80).splitlines()
    assert lines[:2] == ["done      3/3 blocks  5,120 NFE  12 s", f"  {NAME}"]


def test_damaged_batch_shapes_are_named_and_the_journals_batch_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "measure", lambda *parts, **options: 8)
    parts = {"denoiser": Counted(), "names": {"model": "gaussianmixture"}, "batch_size": None}
    first = scaling.run(study(tmp_path, run="one", **parts))
    rows = parts["denoiser"].rows
    garbage(tmp_path / "journal" / "batch_shapes.json")
    monkeypatch.setattr(shapes, "measure", lambda *parts, **options: 4)
    second = scaling.run(study(tmp_path, run="two", **parts))
    assert parts["denoiser"].rows == rows
    assert (second / "curve.csv").read_text() == (first / "curve.csv").read_text()
    assert "batch_shapes.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("run", ["random"], indirect=True)
@pytest.mark.parametrize("gone", [("samples",), ("candidates", "../../journal")])
def test_what_can_be_done_without_is_not_paid_for_again(
    run: Study, capsys: pytest.CaptureFixture[str], gone: tuple[str, ...]
) -> None:
    for name in gone:
        remove((run.folder / name).resolve())
    before = shown(run.folder)
    scaling.run(run)
    assert shown(run.folder) == before
    assert not capsys.readouterr().err
    assert run.denoiser.rows == 0
