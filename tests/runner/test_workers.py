"""Several workers of one run, or of runs that share a stream: nothing twice, nothing lost, nothing stuck."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from held import is_held
from leases_left import stuck
from studies import Toward, study

import scaling
from scaling.budget import Budget
from scaling.cli.workers import worker_environment
from scaling.conditions.class_labels import ClassLabels
from scaling.engine.batches import Batches
from scaling.journal import records
from scaling.journal.lease import STATE, Lease
from scaling.protocols import Search
from scaling.runner.study import Study
from scaling.search.paths import Paths
from scaling.search.random import Random
from scaling.search.zero_order import ZeroOrder

PATIENCE = 0.2


class Crash(BaseException):
    """The end of one worker, as far as the code under test can tell."""


def small(folder: Path, search: Search | None = None, **changes: object) -> Study:
    return study(
        folder,
        search=search or Random(),
        conditions=ClassLabels(count=6, classes=2),
        block_size=2,
        batch_size=4,
        samples=1,
        patience=PATIENCE,
        **{"budget": Budget(nfes_per_iter=4, final_nfe=6, candidates=[2, 4]), **changes},
    )


def at_once(*studies: Study) -> list[BaseException | None]:
    """Runs studies side by side and gives each one's error."""
    errors: list[BaseException | None] = [None] * len(studies)

    def run(index: int) -> None:
        try:
            scaling.run(studies[index])
        except BaseException as error:
            errors[index] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(studies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of every batch that is solved from here on."""
    rows: list[int] = []
    solve = Batches.solve

    def counted(self: Batches, batch: list[object], block: object) -> object:
        rows.append(len(batch))
        return solve(self, batch, block)  # type: ignore[arg-type]

    monkeypatch.setattr(Batches, "solve", counted)
    return rows


def no_lease_is_held(folder: Path) -> bool:
    return not any(is_held(path.parent) for path in folder.rglob("*.lease"))


@pytest.mark.parametrize("search", [Random(), ZeroOrder(), Paths(width=1)], ids=lambda s: type(s).__name__)
def test_three_workers_are_one(tmp_path: Path, solved: list[int], search: Search) -> None:
    budget = Budget(nfes_per_iter=10, final_nfe=12, candidates=[8, 16])
    whole = small(tmp_path / "one", search, budget=budget)
    curve = (scaling.run(whole) / "curve.csv").read_text()
    alone = sum(solved)
    solved.clear()
    shared = [small(tmp_path / "three", search, budget=budget) for _ in range(3)]
    assert at_once(*shared) == [None] * 3
    assert (shared[0].folder / "curve.csv").read_text() == curve
    assert sum(solved) == alone
    assert no_lease_is_held(tmp_path / "three")
    paid = [json.loads((run.folder / "cost.json").read_text())["paid"] for run in (whole, shared[0])]
    assert paid[0] == paid[1]


def test_two_studies_that_write_at_once_denoise_once(tmp_path: Path, solved: list[int]) -> None:
    def grid(folder: Path) -> list[Study]:
        verifiers = {f"{gray}": Toward(gray) for gray in (0.2, 0.7)}
        budgets = [Budget(nfes_per_iter=4, candidates=c) for c in (1, 2, 8)]
        return [
            small(folder, verifier=v, run=f"{name}-{b.candidates}", budget=b)
            for name, v in verifiers.items()
            for b in budgets
        ]

    runs = grid(tmp_path / "together")
    assert at_once(*runs) == [None] * 6
    assert sum(solved) == 6 * 8
    for run, alone in zip(runs, grid(tmp_path / "apart"), strict=True):
        fresh = scaling.run(alone)
        assert (run.folder / "curve.csv").read_text() == (fresh / "curve.csv").read_text()


def dying_worker(monkeypatch: pytest.MonkeyPatch, moment: int) -> Callable[[], int]:
    """Whoever comes to the n-th write, rename or lease dies before it, in the middle of it, or behind it."""
    seen = 0
    lock = threading.Lock()

    def wrap(act: Callable[..., object], torn: Callable[..., object] | None = None) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal seen
            with lock:
                seen += 1
                mine = seen == moment
            if not mine:
                return act(*args, **kwargs)
            if moment % 3 == 1:
                raise Crash
            (torn if torn is not None and moment % 3 == 2 else act)(*args, **kwargs)
            raise Crash

        return wrapped

    def half(file: records.RecordFile, arrays: dict[str, object]) -> None:
        raw = records.pack(arrays)  # type: ignore[arg-type]
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with open(file.path, "ab") as out:
            out.write(raw[: len(raw) // 2])

    def half_a_lease(path: Path, flags: int, *mode: int) -> int:
        os.write(handle := real_open(path, flags, *mode), b"0" * (STATE // 2))
        return handle

    real_open = os.open
    create = wrap(real_open, half_a_lease)

    def opens(path: Path, flags: int, *mode: int, **kwargs: object) -> object:
        is_new_lease = str(path).endswith(".lease") and flags & os.O_EXCL
        return create(path, flags, *mode) if is_new_lease else real_open(path, flags, *mode, **kwargs)  # type: ignore[arg-type]

    def exits(self: Lease, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not Crash:
            return self.release()
        return self.abandon()

    monkeypatch.setattr(records.RecordFile, "append", wrap(records.RecordFile.append, half))
    monkeypatch.setattr(os, "replace", wrap(os.replace))
    monkeypatch.setattr(os, "open", opens)
    monkeypatch.setattr(Lease, "__exit__", exits)
    return lambda: seen


@pytest.mark.slow
def test_a_worker_that_dies_at_any_boundary_changes_nothing(tmp_path: Path, solved: list[int]) -> None:
    whole = (scaling.run(small(tmp_path / "whole")) / "curve.csv").read_text()
    alone = sum(solved)
    moment, died = 0, True
    while died:
        moment += 1
        solved.clear()
        runs = [small(tmp_path / f"{moment}") for _ in range(2)]
        with pytest.MonkeyPatch.context() as patch:
            boundaries = dying_worker(patch, moment)
            errors = at_once(*runs)
            died = boundaries() >= moment
        assert Counter(type(e) for e in errors) == Counter([Crash, type(None)] if died else [type(None)] * 2)
        assert (runs[0].folder / "curve.csv").read_text() == whole
        assert sum(solved) <= alone + 4 * died  # a batch of four was in flight
        assert not stuck(tmp_path / f"{moment}")
        assert died or no_lease_is_held(tmp_path / f"{moment}")
    assert moment > 40


def test_gpus_go_round_and_threads_are_divided() -> None:
    devices = [worker_environment(i, 4, ["0", "3"], 8)["CUDA_VISIBLE_DEVICES"] for i in range(4)]
    assert devices == ["0", "3", "0", "3"]
    assert worker_environment(0, 4, [], 2) == {"OMP_NUM_THREADS": "1"}
