"""What pruning drops is made again from its seed; results and resuming stay."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studies import Pixels, Toward, study

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.journal import records
from scaling.journal.block import Block
from scaling.journal.lease import LeaseLost, Leases
from scaling.protocols import Search
from scaling.runner.study import Study
from scaling.search.halving import Halving
from scaling.search.paths import Paths
from scaling.search.random import Random
from scaling.search.smc import Smc
from scaling.search.zero_order import ZeroOrder
from scaling.tools.prune import prune

LADDER = Budget(nfes_per_iter=4, final_nfe=6, candidates=[1, 2, 4, 8])


def curve(folder: Path) -> str:
    return (folder / "curve.csv").read_text()


def paid_nfe(folder: Path) -> int:
    return int(json.loads((folder / "cost.json").read_text())["paid"]["nfe"])


def columns(output_dir: Path, run: Study) -> list[dict[str, int]]:
    """How many entries each column of each block has."""
    conditions = list(run.conditions)
    folders = sorted((output_dir / "journal").glob("*/block-*"))
    blocks = [Block(folder, conditions[i * 8 : i * 8 + 8]) for i, folder in enumerate(folders)]
    rows = np.argwhere(np.ones((8, 8), bool))
    known = [rows[rows[:, 0] < len(block.conditions)] for block in blocks]
    return [
        {name: int(block.has(name, keys).sum()) for name in block.columns}
        for block, keys in zip(blocks, known, strict=True)
    ]


@pytest.mark.parametrize("keep", ["scores", "winners", "latents"])
@pytest.mark.parametrize("budget", [None, LADDER], ids=["reused", "solved again"])
def test_old_and_new_verifiers_get_the_same_curves(tmp_path: Path, keep: str, budget: Budget | None) -> None:
    changes = {"budget": budget} if budget else {}
    old = scaling.run(study(tmp_path, run="old", **changes))
    done = prune(tmp_path / "study", keep)
    assert (done.streams, done.held) == (1, 0)
    assert done.after < done.before
    again = scaling.run(study(tmp_path, run="again", **changes))
    assert curve(again) == curve(old)
    assert (paid_nfe(again) > 0) == (keep == "scores")
    new = scaling.run(study(tmp_path, run="new", verifier=Toward(0.2), **changes))
    fresh = scaling.run(study(tmp_path / "fresh", verifier=Toward(0.2), **changes))
    assert curve(new) == curve(fresh)
    search = 20 * 8 * 4
    assert paid_nfe(new) < search if keep == "latents" else search // 2 < paid_nfe(new) <= paid_nfe(fresh)


def test_what_is_dropped_and_what_stays(tmp_path: Path) -> None:
    run = study(tmp_path, verifier=Toward(probe_sigma=0.5), scorers={"dark": Toward(0.1, probe_sigma=0.5)})
    scaling.run(run)
    before = columns(tmp_path, run)
    prune(tmp_path / "study" / "run", "winners")
    winners = columns(tmp_path, run)
    prune(tmp_path / "study", "scores")
    scores = columns(tmp_path, run)
    samples = {"latents", "probe/0.5"} | {name for name in before[0] if name.startswith("features/")}
    assert len(samples) > 3
    for had, some, none in zip(before, winners, scores, strict=True):
        assert had["latents"] == had["spent"] > some["latents"] > 0
        assert none == {name: count for name, count in had.items() if name not in samples}
        assert {name: some[name] for name in none} == none


@pytest.mark.parametrize(
    "search",
    [Random(), ZeroOrder(), Paths(width=1), Halving(), Halving(reuse=True), Smc()],
    ids=["random", "zero order", "paths", "halving", "halving, free rungs", "smc"],
)
@pytest.mark.parametrize("keep", ["scores", "winners"])
def test_a_pruned_run_goes_on(tmp_path: Path, search: Search, keep: str) -> None:
    small, large = (Budget(nfes_per_iter=10, candidates=count) for count in (6, 12))
    few: dict[str, Any] = {
        "search": search,
        "conditions": ClassLabels(count=4, classes=2),
        "block_size": 3,
        "samples": 0,
    }
    scaling.run(study(tmp_path / "a", budget=small, run="small", **few))
    prune(tmp_path / "a" / "study", keep)
    extended = scaling.run(study(tmp_path / "a", budget=large, run="large", **few))
    assert curve(extended) == curve(scaling.run(study(tmp_path / "b", budget=large, **few)))


class Crash(BaseException):
    """The end of the process, as far as the code under test can tell."""


def die_at(patch: pytest.MonkeyPatch, moment: int) -> None:
    """Dies at the n-th write, rename or removal of a file: before it where n is odd, else behind it."""
    seen = 0

    def dying(act: Callable[..., object]) -> Callable[..., object]:
        def dies(*args: object, **options: object) -> object:
            nonlocal seen
            if str(args[0]).endswith((".lease", ".still")):  # who holds a lease after all is another test's concern
                return act(*args, **options)
            seen += 1
            if seen == moment and moment % 2:
                raise Crash
            act(*args, **options)
            if seen == moment:
                raise Crash
            return None

        return dies

    patch.setattr(records.RecordFile, "append", dying(records.RecordFile.append))
    patch.setattr(os, "replace", dying(os.replace))
    patch.setattr(Path, "unlink", dying(Path.unlink))


def test_a_crash_at_any_write_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few: dict[str, Any] = {"conditions": ClassLabels(count=6, classes=2), "block_size": 3, "samples": 0}
    first = scaling.run(study(tmp_path, run="first", **few))
    moment, crashed = 0, True
    while crashed:
        moment += 1
        with monkeypatch.context() as patch:
            die_at(patch, moment)
            try:
                prune(tmp_path / "study", "winners")
                crashed = False
            except Crash:
                pass
        again = scaling.run(study(tmp_path, run=f"after-{moment}", **few))
        assert paid_nfe(again) == 0
        assert curve(again) == curve(first)
    assert moment > 6
    prune(tmp_path / "study", "winners")
    assert not list((tmp_path / "journal").rglob(".*.part"))
    assert len(list((tmp_path / "journal").rglob("*.journal"))) == 2


@pytest.mark.parametrize("patience", [0.2, 0.001])  # the second is over before it has looked often enough
def test_who_slept_through_a_pruning_learns_that_the_lease_is_lost(tmp_path: Path, patience: float) -> None:
    run = study(tmp_path)
    scaling.run(run)
    folder = min((tmp_path / "journal").glob("*/block-*"))
    leases = Leases(0.2)
    asleep = leases.wait(folder)
    block = Block(folder, list(run.conditions)[:8], asleep)
    asleep.abandon()  # it stands still
    assert prune(tmp_path / "study", "scores", patience=patience).held == 0
    with pytest.raises(LeaseLost):
        block.get("latents", np.array([[0, 0]]))


def test_a_block_at_work_is_left_alone(tmp_path: Path) -> None:
    scaling.run(study(tmp_path))
    busy, *_ = sorted((tmp_path / "journal").glob("*/block-*"))
    segment = next(busy.glob("*.journal"))
    before = segment.read_bytes()
    with Leases(0.2).wait(busy):
        done = prune(tmp_path / "study", "scores", patience=0.2)
        assert done.held == 1
        assert "1 blocks are at work" in done.text()
        assert segment.read_bytes() == before
    assert prune(tmp_path / "study", "scores").held == 0
    assert not segment.exists()


@pytest.mark.parametrize("name", ["study", "paper/tab01", "a/b/c"])
@pytest.mark.parametrize("configured", [True, False], ids=["from the shell", "from Python"])
def test_a_study_by_any_name_is_pruned(tmp_path: Path, name: str, configured: bool) -> None:
    run = scaling.run(study(tmp_path, study=name))
    if configured:
        (run / "config.yaml").write_text(f"study: {name}\n")
    for folder in (tmp_path / name, run):
        done = prune(folder, "scores")
        assert done.streams == 1
        assert done.before > 0
    assert sum(counts.get("latents", 0) for counts in columns(tmp_path, study(tmp_path))) == 0


@pytest.mark.parametrize("configured", [True, False], ids=["from the shell", "from Python"])
def test_a_run_without_its_journal_is_said(tmp_path: Path, configured: bool) -> None:
    run = scaling.run(study(tmp_path / "there", study="paper/tab01"))
    if configured:
        (run / "config.yaml").write_text("study: paper/tab01\n")
    moved = tmp_path / "elsewhere" / "paper" / "tab01"
    shutil.copytree(run.parent, moved)
    with pytest.raises(ValueError, match=r"journal holds no stream of .*elsewhere/paper/tab01: prune it in"):
        prune(moved)


def test_wrong_folders_and_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no run"):
        prune(tmp_path)
    with pytest.raises(ValueError, match="retention='all' is none of scores, winners, latents"):
        prune(tmp_path, "all")


def test_features_of_winners_stay_with_their_samples(tmp_path: Path) -> None:
    run = study(tmp_path, extractors={"pixels": Pixels()})
    scaling.run(run)
    prune(tmp_path / "study", "winners")
    for counts in columns(tmp_path, run):
        features = {count for name, count in counts.items() if name.startswith("features/")}
        assert len(features) == 1
        assert 0 < features.pop() <= counts["latents"]
