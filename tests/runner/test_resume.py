"""Killed at any moment, a run goes on where it was and ends with the same curve."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from studies import Toward, study

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.journal import records
from scaling.metrics.fid import FID
from scaling.notices import notice, take_notices
from scaling.protocols import Condition, Search
from scaling.runner.claim import recorded_batch
from scaling.runner.study import Study
from scaling.search.paths import Paths
from scaling.search.random import Random
from scaling.search.steps import Steps
from scaling.search.zero_order import ZeroOrder

SEARCHES: list[Search] = [Random(), ZeroOrder(), Paths(width=1), Steps()]
LADDER = Budget(nfes_per_iter=10, final_nfe=12, candidates=[4, 12, 30])


class Crash(BaseException):
    """The end of the process, as far as the code under test can tell."""


def small(folder: Path, search: Search, **changes: object) -> Study:
    return study(
        folder,
        search=search,
        budget=LADDER,
        conditions=ClassLabels(count=4, classes=2),
        block_size=3,
        samples=1,
        **changes,
    )


def paid_nfe(folder: Path) -> int:
    return int(json.loads((folder / "cost.json").read_text())["paid"]["nfe"])


def crash_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> Callable[[], int]:
    """Dies at the n-th write or rename: before it, in the middle of it, or behind it."""
    seen = 0

    def dying(write: Callable[..., object], torn: Callable[..., object] | None) -> Callable[..., object]:
        def act(*args: object, **kwargs: object) -> object:
            nonlocal seen
            seen += 1
            if seen != moment:
                return write(*args, **kwargs)
            if moment % 3 == 1:
                raise Crash
            if moment % 3 == 2 and torn is not None:
                torn(*args, **kwargs)
                raise Crash
            write(*args, **kwargs)
            raise Crash

        return act

    def half(file: records.RecordFile, arrays: dict[str, object]) -> None:
        raw = records.pack(arrays)  # type: ignore[arg-type]
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with open(file.path, "ab") as out:
            out.write(raw[: len(raw) // 2])

    monkeypatch.setattr(records.RecordFile, "append", dying(records.RecordFile.append, half))
    monkeypatch.setattr(os, "replace", dying(os.replace, None))
    return lambda: seen


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: type(s).__name__)
def test_a_crash_at_every_write_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: Search
) -> None:
    whole = (scaling.run(small(tmp_path / "whole", search)) / "curve.csv").read_text()
    moment, over = 0, False
    while not over:
        moment += 1 if isinstance(search, Random) else 4  # every write of one search, every fourth of the others
        folder = tmp_path / f"crash-{moment}"
        with monkeypatch.context() as patch:
            writes = crash_at(patch, moment)
            try:
                scaling.run(small(folder, search))
                over = writes() < moment
            except Crash:
                pass
        assert (scaling.run(small(folder, search)) / "curve.csv").read_text() == whole
    assert moment > 15  # there was something to interrupt


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: type(s).__name__)
def test_a_finished_stream_is_answered_without_denoising(tmp_path: Path, search: Search) -> None:
    first = scaling.run(small(tmp_path, search, run="first"))
    again = small(tmp_path, search, run="again")
    calls = 0
    denoise = type(again.denoiser).__call__

    def counted(*args: object) -> object:
        nonlocal calls
        calls += 1
        return denoise(*args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(again.denoiser), "__call__", counted)
        second = scaling.run(again)
    assert calls == 0
    assert (second / "curve.csv").read_text() == (first / "curve.csv").read_text()


def test_a_larger_ladder_continues_the_smaller_one(tmp_path: Path) -> None:
    larger = Budget(nfes_per_iter=4, candidates=[1, 2, 4, 8, 16])
    scaling.run(study(tmp_path, run="small"))
    continued = study(tmp_path, run="large", budget=larger)
    folder = scaling.run(continued)
    assert paid_nfe(folder) == 20 * 8 * 4
    fresh = scaling.run(study(tmp_path / "fresh", budget=larger))
    assert (folder / "curve.csv").read_text() == (fresh / "curve.csv").read_text()


class Cuts(Toward):
    def notice_cut_prompts(self, conditions: list[Condition]) -> None:
        notice("{n} prompts were cut", [condition.class_label for condition in conditions])


def test_what_a_judge_does_not_read_is_said_where_the_journal_holds_all_its_scores(tmp_path: Path) -> None:
    said = []
    for name in ("a", "b"):
        take_notices()
        judge = Cuts()
        scaling.run(study(tmp_path, run=name, verifier=judge))
        said.append((take_notices(), judge.rows > 0))
    assert said == [(["2 prompts were cut"], True), (["2 prompts were cut"], False)]


def test_another_verifier_on_an_open_loop_stream_costs_no_nfe(tmp_path: Path) -> None:
    scaling.run(study(tmp_path, run="a"))
    folder = scaling.run(study(tmp_path, run="b", verifier=Toward(0.2)))
    assert paid_nfe(folder) == 0
    fresh = scaling.run(study(tmp_path / "fresh", verifier=Toward(0.2)))
    assert (folder / "curve.csv").read_text() == (fresh / "curve.csv").read_text()


@pytest.mark.parametrize("retention", ["scores", "winners", "latents"])
def test_what_is_retained_changes_no_result(tmp_path: Path, retention: str) -> None:
    for search in (Random(), ZeroOrder()):
        base = tmp_path / type(search).__name__
        kept = scaling.run(study(base / retention, search=search, retention=retention)) / "curve.csv"
        full = scaling.run(study(base / "full", search=search)) / "curve.csv"
        assert kept.read_text() == full.read_text()


def test_another_run_is_not_mixed_into_a_folder(tmp_path: Path) -> None:
    scaling.run(study(tmp_path))
    with pytest.raises(ValueError, match="holds another run"):
        scaling.run(study(tmp_path, seed=1))


def test_a_search_that_changed_its_mind_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scaling.run(study(tmp_path, run="before"))
    draw = Random.__call__

    def other(self: Random, space: object) -> object:
        from scaling.protocols import Proposal

        for proposal in draw(self, space):  # type: ignore[arg-type]
            yield Proposal(proposal.x + 1, proposal.times)

    monkeypatch.setattr(Random, "__call__", other)
    after = study(tmp_path, run="after", budget=Budget(nfes_per_iter=4, candidates=[16]))
    with pytest.raises(ValueError, match="something else than the journal") as refused:
        scaling.run(after)
    stream = Path(str(refused.value).rpartition("delete ")[2])
    assert stream.parent == tmp_path / "journal" and (stream / "stream.json").is_file()
    shutil.rmtree(stream)  # as it is told
    fresh = scaling.run(dataclasses.replace(after, output_dir=tmp_path / "fresh"))
    assert (scaling.run(after) / "curve.csv").read_text() == (fresh / "curve.csv").read_text()


def test_a_run_goes_on_at_its_batch_on_another_kind_of_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def begun(device: str, measured: int) -> Study:
        for module in ("scaling.runner.run", "scaling.engine.batch_size"):
            monkeypatch.setattr(f"{module}.device_name", lambda _: device)
        monkeypatch.setattr("scaling.engine.batch_size.measure", lambda *parts, **options: measured)
        return study(tmp_path, batch_size=None, progress=True)

    folder = scaling.run(begun("NVIDIA H100", 16))
    before = (folder / "curve.csv").read_text()
    assert "batches of 16 rows, as measured" in capsys.readouterr().err
    (folder / "cost.json").unlink()
    (folder / "blocks" / "00001.npz").unlink()
    (folder / "curve.csv").unlink()
    scaling.run(begun("NVIDIA A40", 4))
    said = capsys.readouterr().err
    assert "batches of 16 rows, as this run was begun with, here on NVIDIA A40" in said
    assert (folder / "curve.csv").read_text() == before
    other = scaling.run(dataclasses.replace(begun("NVIDIA A40", 4), run="new"))
    assert recorded_batch(other) == 4 and recorded_batch(folder) == 16
    with pytest.raises(ValueError, match="batch_size was 16, now 8"):
        scaling.run(study(tmp_path, batch_size=8))


FORMAT_2 = {  # what identities of metrics held beside what they do now
    "_device": "cpu",
    "compute_on_cpu": False,
    "_defaults": {"count": "torch.float64[20] 88d5d92d69430679"},
    "update": {"name": "scaling.metrics.fid.FID.update"},
}


def test_a_run_whose_metrics_knew_too_much_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).numpy()
    np.savez(tmp_path / "reference.npz", mu=rows.mean(0), sigma=np.cov(rows, rowvar=False))

    def judged(**changes: object) -> Study:
        fid = FID(reference=str(tmp_path / "reference.npz"), feature="pixels.features")
        return study(tmp_path, metrics={"fid": fid}, **changes)

    folder = scaling.run(judged())
    before = (folder / "curve.csv").read_text()
    description = json.loads((folder / "environment.json").read_text())
    fid = description["identities"]["judges"]["fid"]
    description |= {"format": 2}
    fid |= FORMAT_2
    fid["reference"] |= {"source": "/where/it/lay/reference.npz"}
    for changed in (False, True):
        (folder / "cost.json").unlink()
        if changed:
            fid["reference"]["mean"] = "torch.float64[2] 0123456789abcdef"
        (folder / "environment.json").write_text(json.dumps(description))
        capsys.readouterr()
        if changed:
            with pytest.raises(ValueError, match="judges.fid.reference.mean"):
                scaling.run(judged())
        else:
            scaling.run(judged())
            assert (folder / "curve.csv").read_text() == before and not capsys.readouterr().err
            assert json.loads((folder / "environment.json").read_text())["format"] == 3
