"""Where both commands begin: from the first import on, a stop is one line and its own exit code.

Nothing is imported here that takes time. Once a run's engine is at work, `scaling.stop` ends it at a batch instead.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, scancel and kill, a closed terminal


class Interrupted(BaseException):
    """A signal that came where nothing has to be brought to an end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def scaling() -> None:
    """The `scaling` command."""
    kept = "all that was computed is kept, and the same command goes on"
    asked = any(argument in ("--help", "-h") for argument in sys.argv[1:])
    module = "scaling.cli.option_help" if asked else "scaling.cli.run"
    _guarded(f"scaling: stopped; {kept}", lambda: import_module(module).main())


def scaling_study() -> int:
    """The `scaling-study` command."""
    words = "scaling-study: stopped; nothing is half written, and the same command does it again"
    return _guarded(words, lambda: import_module("scaling.cli.study.command").main())


def worker() -> None:
    """One of several processes of a run; who started it says that it was stopped."""
    _guarded("", lambda: import_module("scaling.cli.workers").main())


def _guarded(words: str, command: Callable[[], Any]) -> Any:
    """What the command returns; stopped by a signal it says so in one line, or with debug=true where it was."""
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):  # nohup has us ignore some
            signal.signal(number, _interrupt)
    try:
        return command()
    except Interrupted as stop:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second one has nothing more to stop
        if "debug=true" in sys.argv:
            raise
        if words:
            print(f"\n{words}" if sys.stderr.isatty() else words, file=sys.stderr, flush=True)
        sys.exit(128 + stop.number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


if __name__ == "__main__":  # python -m scaling.cli.entry: a worker of `scaling.cli.workers`
    worker()
