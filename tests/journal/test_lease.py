"""Leases: one holder at a time, whatever dies, sleeps or jumps."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from held import is_held
from leases_left import count

from scaling.journal import holder
from scaling.journal.holder import Holder
from scaling.journal.lease import Lease, LeaseLost, Leases, highest

PATIENCE = 0.4


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    a, b = Leases(), Leases()
    lease = a.take(tmp_path)
    assert lease is not None
    assert b.take(tmp_path) is None
    assert is_held(tmp_path)
    lease.release()
    assert not is_held(tmp_path)
    again = b.take(tmp_path)
    assert again is not None
    assert again.number > lease.number
    again.release()


def test_a_living_holder_keeps_its_lease_however_long_others_wait(tmp_path: Path) -> None:
    with Leases(PATIENCE).wait(tmp_path):
        other, end = Leases(PATIENCE), time.monotonic() + 5 * PATIENCE
        while time.monotonic() < end:
            assert other.take(tmp_path) is None
            time.sleep(PATIENCE / 20)


def test_a_dead_holders_lease_is_taken_over(tmp_path: Path) -> None:
    lease = Leases(PATIENCE).wait(tmp_path)
    lease.abandon()
    begun = time.monotonic()
    with Leases(PATIENCE).wait(tmp_path) as new:
        assert time.monotonic() - begun >= PATIENCE
        assert new.number == lease.number + 1
        with pytest.raises(LeaseLost):
            lease.check()


def test_who_wakes_up_late_takes_nothing_back(tmp_path: Path) -> None:
    lease = Leases(PATIENCE).wait(tmp_path)
    lease.abandon()
    with Leases(PATIENCE).wait(tmp_path) as new:
        lease.release()  # writes into its own file, which is gone
        assert is_held(tmp_path)
        new.check()


def test_a_jump_of_the_clock_ends_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with Leases(60).wait(tmp_path):
        other = Leases(60, clock)
        assert other.take(tmp_path) is None
        for jump in (86_400.0, -86_400.0, 1e9):
            clock.now += jump
            monkeypatch.setattr(time, "time", lambda jump=jump: jump)
            assert other.take(tmp_path) is None


def test_only_steady_looking_finds_a_holder_dead(tmp_path: Path) -> None:
    Leases(60).wait(tmp_path).abandon()
    clock = Clock()
    other = Leases(60, clock)
    looks = 0
    while (lease := other.take(tmp_path)) is None:
        clock.now += 1000
        looks += 1
    assert looks >= 10
    lease.release()


def test_of_many_who_find_it_dead_one_takes_over(tmp_path: Path) -> None:
    Leases(60).wait(tmp_path).abandon()
    clocks = [Clock() for _ in range(8)]
    views = [Leases(60, clock) for clock in clocks]
    for _ in range(10):
        assert [view.take(tmp_path) for view in views] == [None] * 8
        for clock in clocks:
            clock.now += 6
    taken: list[Lease] = []
    barrier = threading.Barrier(8)

    def race(view: Leases) -> None:
        barrier.wait()
        if (lease := view.take(tmp_path)) is not None:
            taken.append(lease)

    threads = [threading.Thread(target=race, args=(view,)) for view in views]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    taken[0].release()


def test_an_old_view_of_the_folder_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        Leases().wait(tmp_path).release()
    with Leases().wait(tmp_path) as holder:
        monkeypatch.setattr("scaling.journal.lease.highest", lambda folder: -1)  # as if the folder were still empty
        assert Leases().take(tmp_path) is None
        monkeypatch.undo()
        assert highest(tmp_path) == holder.number
        holder.check()


def _hold(folder: str, wins: str) -> None:
    leases = Leases(PATIENCE)
    for _ in range(20):
        with leases.wait(Path(folder), 0.001):
            handle = os.open(wins, os.O_CREAT | os.O_EXCL)  # fails if two are inside
            os.close(handle)
            time.sleep(0.001)
            os.unlink(wins)


def test_processes_exclude_each_other(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    workers = [spawn.Process(target=_hold, args=(str(tmp_path / "lease"), str(tmp_path / "in"))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4


def _sleep_in(folder: str) -> None:
    Leases(PATIENCE).wait(Path(folder))
    time.sleep(600)


def killed(folder: Path) -> None:
    """A process takes the lease and is killed with it."""
    worker = multiprocessing.get_context("fork").Process(target=_sleep_in, args=(str(folder),))
    worker.start()
    while not is_held(folder):
        time.sleep(0.01)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()


def test_kill_9_leaves_no_lock_behind(tmp_path: Path) -> None:
    killed(tmp_path)
    lease = Leases(1e9).take(tmp_path)  # at the first look, whatever the patience
    assert lease is not None
    lease.release()


def test_a_holder_that_nobody_has_buried_yet_is_dead_too(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        Leases(1e9).take(tmp_path)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    lease = Leases(1e9).take(tmp_path)
    assert lease is not None
    lease.release()
    os.waitpid(child, 0)


def test_another_process_of_the_same_number_is_not_the_holder() -> None:
    this = Holder.this()
    assert not this.is_dead()
    assert Holder.read(bytes(this)) == this
    assert replace(this, started="12345").is_dead() == bool(this.started)
    assert not replace(this, started="").is_dead()  # of a system that does not tell


def test_a_process_that_may_not_be_asked_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuses)
    assert not Holder.this().is_dead()


@pytest.mark.parametrize("machine", ["another", ""])
def test_on_another_machine_only_the_count_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(holder, "machine", lambda: machine)
        killed(tmp_path)
    clock = Clock()
    other, looks = Leases(60, clock), 0
    while (lease := other.take(tmp_path)) is None:
        clock.now += 1
        looks += 1
    assert looks == 60
    lease.release()


def test_an_older_versions_lease_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "00000.lease").write_bytes(b"0000000000000007")
    clock = Clock()
    other = Leases(60, clock)
    for _ in range(60):
        assert other.take(tmp_path) is None
        clock.now += 1
    lease = other.take(tmp_path)
    assert lease is not None
    lease.release()
    (tmp_path / "00001.lease").write_bytes(b"free".ljust(16))
    again = other.take(tmp_path)
    assert again is not None
    again.release()


@pytest.mark.parametrize(("life", "lives"), [(4.0, 30), (8.0, 12), (30.0, 3)])
def test_what_a_killed_newcomer_has_waited_counts_for_the_next(tmp_path: Path, life: float, lives: int) -> None:
    Leases(60).wait(tmp_path).abandon()
    for attempt in range(lives):
        clock = Clock()
        other = Leases(60, clock)
        while clock.now <= life:
            if lease := other.take(tmp_path):
                lease.release()
                assert attempt * life >= 60 - life  # nobody was hasty
                return
            clock.now += 1
    raise AssertionError("no newcomer came to an end")


def test_a_count_that_moved_is_waited_for_afresh(tmp_path: Path) -> None:
    with Leases(60).wait(tmp_path) as lease:
        clock = Clock()
        other = Leases(60, clock)
        for _ in range(59):
            assert other.take(tmp_path) is None
            clock.now += 1
        count(tmp_path, lease, 1)  # it was only slow
        late, clock.now = Leases(60, clock), 0.0
        for _ in range(59):
            assert late.take(tmp_path) is None
            clock.now += 1


def test_nobody_takes_notes_of_a_living_holder(tmp_path: Path) -> None:
    with Leases(60).wait(tmp_path) as lease:
        clock = Clock()
        other = Leases(60, clock)
        for number in range(50):
            count(tmp_path, lease, number)
            clock.now += 2
            assert other.take(tmp_path) is None
        assert not list(tmp_path.glob("*.still"))


def test_notes_go_with_the_lease(tmp_path: Path) -> None:
    Leases(60).wait(tmp_path).abandon()
    clock = Clock()
    other = Leases(60, clock)
    while (lease := other.take(tmp_path)) is None:
        clock.now += 1
    assert [path.name for path in tmp_path.iterdir()] == ["00001.lease"]
    lease.release()


def test_who_is_waited_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder.socket, "gethostname", lambda: "node7")
    said: list[str] = []
    clock = Clock()
    with Leases(60).wait(tmp_path):
        other = Leases(60, clock, said.append)
        assert other.take(tmp_path) is None
        assert other.waiting_for([tmp_path]) == f"waiting for process {os.getpid()} on node7"
        clock.now += 6
        assert other.take(tmp_path) is None
        words = f"process {os.getpid()} on node7 has not stirred for 6 s; after 60 s its work is taken over"
        assert other.waiting_for([tmp_path]) == words
