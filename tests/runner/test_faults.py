"""A sick disk, a jumping clock, too little memory, a signal: an error or a recovery, never a wrong number."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from studies import Told, Toward, mixture, study

import scaling
from scaling import stop
from scaling.budget import Budget
from scaling.search.random import Random
from scaling.search.zero_order import ZeroOrder
from scaling.stop import Stopped, asked_to_stop, stopping_at_batches

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def curve(folder: Path) -> str:
    return (folder / "curve.csv").read_text()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: a write is cut there and the next one fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_an_error_and_room_a_recovery(tmp_path: Path) -> None:
    whole = curve(scaling.run(study(tmp_path / "whole")))
    errors = 0
    for size in (20, 100, 300, 1000, 2000, 4000, 8000, 16_000, 64_000, 1_000_000):
        try:
            with files_of_at_most(size):
                done = curve(scaling.run(study(tmp_path / "disk")))
        except OSError:
            errors += 1
            continue
        assert done == whole
        break
    assert errors > 3  # it stopped at several places on its way
    assert done == whole


def test_a_journal_that_takes_nothing_is_an_error_that_harms_nothing(tmp_path: Path) -> None:
    larger = Budget(nfes_per_iter=4, candidates=[1, 2, 4, 8, 16])
    scaling.run(study(tmp_path / "disk", run="before"))
    with pytest.raises(OSError, match="too large"), files_of_at_most(0):
        scaling.run(study(tmp_path / "disk", run="after", budget=larger))
    after = scaling.run(study(tmp_path / "disk", run="after", budget=larger))
    assert curve(after) == curve(scaling.run(study(tmp_path / "whole", budget=larger)))


@pytest.mark.parametrize("search", [Random(), ZeroOrder()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_journal_is_computed_again(tmp_path: Path, search: object, damage: str) -> None:
    whole = curve(scaling.run(study(tmp_path, search=search)))
    segments = sorted(tmp_path.glob("journal/*/block-*/*.journal"))
    for share in (0.0, 0.3, 0.7, 0.999):
        for path in segments:
            raw = bytearray(path.read_bytes())
            at = int(share * len(raw))
            if damage == "cut":
                del raw[at:]
            else:
                raw[at] ^= 4
            path.write_bytes(raw)
        assert curve(scaling.run(study(tmp_path, search=search, run=f"after-{share}"))) == whole


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = curve(scaling.run(study(tmp_path / "whole")))
    now = time.time()
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: now + (-1) ** (i := next(jumps)) * i * 1e6)
    assert curve(scaling.run(study(tmp_path / "jumps"))) == whole


class Heavy:
    """The mixture on a device that holds so many rows."""

    execution_only = frozenset({"rows"})

    def __init__(self, rows: int) -> None:
        self._inner, self._rows = mixture(), rows

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def __call__(self, x: torch.Tensor, *rest: object) -> object:
        if len(x) > self._rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._inner(x, *rest)  # type: ignore[arg-type]


def test_out_of_memory_halves_the_batch_and_says_so_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = scaling.run(study(tmp_path / "whole"))
    folder = scaling.run(study(tmp_path / "heavy", denoiser=Heavy(5), names={"model": "gaussianmixture"}))
    said = capsys.readouterr().err
    assert said.count("out of memory") == 1
    costs = [json.loads((f / "cost.json").read_text()) for f in (whole, folder)]
    assert [cost["bitwise"] for cost in costs] == [True, False]
    assert [cost["paid"]["nfe"] for cost in costs] == [20 * 8 * 4] * 2
    assert curve(folder) == curve(whole)  # the mixture rounds alike at every batch
    later = scaling.run(study(tmp_path / "heavy", run="later", verifier=Toward(0.1), denoiser=Heavy(20)))
    assert not json.loads((later / "cost.json").read_text())["bitwise"]  # it reads what the smaller batches made


class HeavyImages(Heavy):
    """The mixture on a device that holds any number of latents, but the images of so many rows."""

    calls = 0

    def __call__(self, x: torch.Tensor, *rest: object) -> object:
        type(self).calls += len(x)
        return self._inner(x, *rest)  # type: ignore[arg-type]

    def decode(self, x0: torch.Tensor) -> torch.Tensor:
        if len(x0) > self._rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._inner.decode(x0)


def test_images_that_do_not_fit_are_judged_in_parts_and_nothing_is_denoised_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = scaling.run(study(tmp_path / "whole"))
    folder = scaling.run(study(tmp_path / "heavy", denoiser=HeavyImages(5), names={"model": "gaussianmixture"}))
    assert capsys.readouterr().err.count("out of memory") == 1  # halved twice
    costs = [json.loads((f / "cost.json").read_text()) for f in (whole, folder)]
    assert [cost["bitwise"] for cost in costs] == [True, False]
    assert [cost["paid"] for cost in costs] == [costs[0]["paid"]] * 2
    assert HeavyImages.calls == costs[0]["paid"]["forwards"]  # at the whole shape, each row once
    assert curve(folder) == curve(whole)


def test_a_row_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        scaling.run(study(tmp_path, denoiser=Heavy(0)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_stops_at_the_next_batch(tmp_path: Path, number: int) -> None:
    begun = 0

    def at_batch() -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            os.kill(os.getpid(), number)

    judge, named = Toward(), {"model": "gaussianmixture"}
    told = study(tmp_path / "stopped", denoiser=Told(at_batch), verifier=judge, names=named)
    with pytest.raises(Stopped) as stopped, stopping_at_batches():
        scaling.run(told)
    assert stopped.value.code == 128 + number
    assert begun == 3
    assert judge.rows == 3 * 16  # the batch in which it came was finished
    assert curve(scaling.run(told)) == curve(scaling.run(study(tmp_path / "whole")))
    assert begun == 20 * 8 // 16  # nothing was paid twice


def test_a_user_signal_requeues_where_somebody_requeues(tmp_path: Path) -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: asked.append(number))
    try:
        with pytest.raises(Stopped), stopping_at_batches():
            scaling.run(study(tmp_path, denoiser=Told(lambda: os.kill(os.getpid(), signal.SIGUSR1))))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert asked == [signal.SIGUSR1]


class Endless:
    """A search that never proposes anything."""

    def __call__(self, space: object) -> Iterator[object]:
        while True:
            time.sleep(0.001)
        yield  # type: ignore[unreachable]


def test_code_that_comes_to_no_batch_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "GRACE", 0.1)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped), stopping_at_batches():
        timer.start()
        next(Endless()(None))
    timer.join()


def test_ctrl_c_twice_stops_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stopped) as stopped, stopping_at_batches():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert stopped.value.code == 130
    asked, ended = capsys.readouterr().err.splitlines()
    assert "Ctrl-C once more" in asked
    assert ended.startswith("stopped by SIGINT: all is kept so far")
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_who_was_started_to_ignore_a_signal_goes_on_ignoring_it(number: int) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with stopping_at_batches():
            os.kill(os.getpid(), number)
            assert asked_to_stop() is None
            os.kill(os.getpid(), signal.SIGUSR1)
            assert asked_to_stop() == signal.SIGUSR1
    finally:
        signal.signal(number, before)
