"""Asked to stop, a run ends at the next batch boundary, where everything so far is in the journal."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)  # SIGUSR2 is submitit's own; SIGTERM is scancel's
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
    _before.update({number: signal.signal(number, _ask) for number in SIGNALS})
    try:
        yield
    finally:
        _restore()


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
    name = signal.Signals(number).name
    print(f"stopped by {name}: all is kept so far, the same command goes on from here", file=sys.stderr, flush=True)
    if number != signal.SIGTERM and callable(requeue):
        requeue(number, None)  # submitit's handler; after SIGTERM Slurm itself requeues what it preempted
    raise Stopped(128 + number)


def _ask(number: int, frame: FrameType | None) -> None:
    _asked.append(number)


def _restore() -> None:
    for number, handler in _before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    _before.clear()
