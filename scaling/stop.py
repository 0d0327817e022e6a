"""Asked to stop, a run ends at the next batch boundary, where everything so far is in the journal.

Code that comes to none, such as a search that never yields, is interrupted after a while.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

# SIGTERM is scancel's, SIGHUP a closed terminal's, SIGINT Ctrl-C's, SIGUSR2 submitit's own
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
GRACE = 20.0  # seconds for a batch to end; then whatever runs is interrupted, which loses that batch alone
_asked: list[int] = []
_before: dict[int, Any] = {}


class Stopped(SystemExit):
    """The end of this command by a signal; the same command goes on where it was."""


@contextmanager
def stopping_at_batches() -> Iterator[None]:
    """Within it the signals only ask; a thread other than the main one leaves them as they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked.clear()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup, and shells in the background, leave us alone
            _before[number] = signal.signal(number, _ask)
    _before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _interrupt)
    try:
        yield
    finally:
        _restore()
        _asked.clear()


def asked_to_stop() -> int | None:
    """The signal that came, if any."""
    return _asked[0] if _asked else None


def check_stop() -> None:
    """Ends the command if a signal asked for it; under submitit a user signal requeues the job first."""
    if not _asked:
        return
    number, requeue = _asked[0], _before.get(signal.SIGUSR2)
    _restore()
    _asked.clear()
    _say(f"stopped by {signal.Signals(number).name}: all is kept so far, the same command goes on from here")
    if number in (signal.SIGUSR1, signal.SIGUSR2) and callable(requeue):
        requeue(number, None)  # submitit's handler; after SIGTERM Slurm itself requeues what it preempted
    raise Stopped(128 + number)


def _ask(number: int, frame: FrameType | None) -> None:
    again = number == signal.SIGINT and number in _asked
    _asked.append(number)
    if again:
        check_stop()
    if number == signal.SIGINT:
        _say("stopping at the end of this batch; Ctrl-C once more stops at once")
    if number not in (signal.SIGUSR1, signal.SIGUSR2):  # these come minutes before the end
        signal.setitimer(signal.ITIMER_REAL, GRACE)


def _interrupt(number: int, frame: FrameType | None) -> None:
    check_stop()


def _say(words: str) -> None:
    with suppress(OSError):  # the terminal may be gone, which is why we stop
        print(words, file=sys.stderr, flush=True)


def _restore() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in _before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    _before.clear()
