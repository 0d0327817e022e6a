"""What a run says of itself while it works and while it waits."""

from __future__ import annotations

import io
import sys
import time

import pytest

from scaling.runner import progress
from scaling.runner.progress import Progress, Waiting, short


class Terminal(io.StringIO):
    """Standard error as a terminal that keeps what is written."""

    def isatty(self) -> bool:
        return True


class Gone(Terminal):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


class Silent(Gone):
    """A log whose disk is full."""

    def isatty(self) -> bool:
        return False


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that tests move."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def test_the_share_moves_with_the_first_batch_and_ends_at_one() -> None:
    shown = Progress("run", conditions=10, enabled=False, nfe=80)
    assert shown.share == 0
    shown.rows(4, 40)
    assert shown.share == 40 / 800
    shown.block(5, 1.0, paid=True)
    assert shown.share == 0.5
    shown.block(5, 2.0, paid=False)
    assert shown.share == 1


def test_a_line_says_what_is_known(now: list[float]) -> None:
    shown = Progress("run", conditions=100, enabled=False, nfe=1000)
    now[0] += 10
    assert shown.line() == "run: 0/100 conditions | 0/100k NFE | 0.0 images/s"
    shown.rows(20, 2000)
    assert shown.line() == "run: 0/100 conditions | 2k/100k NFE | 2.0 images/s | 8 min left"
    shown.block(50, 0.5, paid=True)
    assert shown.line() == "run: 50/100 conditions | 50k/100k NFE | 2.0 images/s | 10 s left | mean score 0.500"
    shown.block(50, 1.5, paid=False)
    assert shown.line() == "run: 100/100 conditions | 100k/100k NFE | 2.0 images/s | mean score 1.000"


def test_what_the_journal_answered_teaches_no_pace(now: list[float]) -> None:
    shown = Progress("run", conditions=100, enabled=False, nfe=10)
    shown.block(80, 0.0, paid=False)
    now[0] += 10
    shown.block(10, 0.0, paid=True)
    assert "10 s left" in shown.line()


def test_a_terminal_shows_a_bar_with_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with Progress("a name that is far too long for a terminal of eighty columns", 10, nfe=80) as shown:
        shown.rows(4, 200)
        shown.block(5, 0.25, paid=True)
    said = terminal.getvalue()
    for part in ("50%", "400/800 NFE", "images/s", "s left", "mean score 0.250", "a name"):
        assert part in said
    assert "\n\n" not in said


def test_elsewhere_a_plain_line_is_said_now_and_then(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("run", conditions=10, nfe=80) as shown:
        for _ in range(7):
            now[0] += 10
            shown.rows(1, 8)
    assert capsys.readouterr().err.splitlines() == [
        "run: 0/10 conditions | 24/800 NFE | 0.1 images/s | 16 min left",
        "run: 0/10 conditions | 48/800 NFE | 0.1 images/s | 16 min left",
    ]


@pytest.mark.parametrize("stderr", [Gone(), Silent()])
def test_a_terminal_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "PATIENT", 0.0)
    with Progress("run", conditions=10, nfe=80) as shown:
        shown.rows(4, 40)
        shown.waiting("for another")
        shown.block(10, 0.5, paid=True)
    assert shown.share == 1


def test_a_wait_is_told_once_it_lasts_and_then_now_and_then(now: list[float]) -> None:
    told: list[str] = []
    waiting = Waiting("run", tell=told.append)
    for _ in range(40):
        waiting(f"{now[0]:.0f}")
        now[0] += 1
    assert told == ["run: 102", "run: 132"]
    now[0] += 60  # all went on; this is another wait
    waiting("again")
    assert len(told) == 2


def test_counts_are_short() -> None:
    assert [short(n) for n in (0, 640, 999, 1000, 12_345, 3_640_960)] == ["0", "640", "999", "1k", "12.3k", "3.64M"]
