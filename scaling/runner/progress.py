"""How far a run is: a bar in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

EVERY = 30.0  # seconds between plain lines, and between lines that say what is waited for
PATIENT = 2.0  # seconds that a wait may take without a word
BREAK = 10.0  # seconds between two looks that are not of one wait


def print_error(line: str) -> None:
    """To the terminal or log, at once; a terminal that was closed stops nothing."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


class Waiting:
    """Says what a run waits for: once that takes a while, and then now and then."""

    def __init__(self, title: str, enabled: bool = True, tell: Callable[[str], None] = print_error) -> None:
        self.title, self.enabled, self._tell = title, enabled, tell
        self._since = self._last = self._told = -math.inf

    def __call__(self, words: str) -> None:
        """Called at every look; after a break another wait has begun."""
        now = time.monotonic()
        if now - self._last > BREAK:
            self._since = now
        self._last = now
        if self.enabled and now - self._since >= PATIENT and now - self._told >= EVERY:
            self._told = now
            self._tell(f"{self.title}: {words}")


class Progress:
    """Counts conditions, NFE and images; shows them with the incumbents' mean score and the time left."""

    def __init__(self, title: str, conditions: int, enabled: bool = True, nfe: int = 0) -> None:
        """`nfe` is what the search of a condition spends at most; 0 where that is not known."""
        self.title, self.conditions, self.enabled = title, conditions, enabled
        self.done = self.nfe = self.images = 0
        self._per_condition = nfe
        self._underway = 0  # NFE since the last block was done
        self._skipped = 0  # conditions that the journal or an earlier run answered: no pace to learn from
        self._score, self._scored = 0.0, 0
        self._begun = self._said = time.monotonic()
        self._waiting = Waiting(title, enabled, self._print)
        self._bar: Bar | None = None

    def __enter__(self) -> Progress:
        if self.enabled and sys.stderr.isatty():
            self._bar = _bar(self.title)
            with suppress(OSError):
                self._bar.__enter__()
            self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with suppress(OSError):
                self._bar.__exit__(kind, error, trace)

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1; the block at work counts by its NFE."""
        if not self._per_condition:
            return self.done / max(self.conditions, 1)
        done = self.done * self._per_condition + self._underway
        return min(done / max(self.conditions * self._per_condition, 1), 1.0)

    def rows(self, rows: int, nfe: int) -> None:
        """A batch was computed."""
        self.images += rows
        self.nfe += nfe
        self._underway += nfe
        self._show()

    def block(self, conditions: int, mean_score: float, paid: bool) -> None:
        """A block is complete, computed here or (not `paid`) read."""
        self.done += conditions
        self._underway = 0
        self._skipped += 0 if paid else conditions
        self._score += mean_score * conditions
        self._scored += conditions
        self._show()

    def waiting(self, words: str) -> None:
        """Nothing can be done now."""
        self._waiting(words)

    def line(self) -> str:
        """For logs."""
        return " | ".join([f"{self.title}: {self.done}/{self.conditions} conditions", *self.facts()])

    def facts(self) -> list[str]:
        """NFE of all, images a second, the time left, the incumbents' mean; what is not known yet is left out."""
        seconds = max(time.monotonic() - self._begun, 1e-9)
        total = self.conditions * self._per_condition
        facts = [f"{short(self.share * total)}/{short(total)} NFE" if total else f"{short(self.nfe)} NFE"]
        facts.append(f"{self.images / seconds:.1f} images/s")
        fresh = self.share - self._skipped / max(self.conditions, 1)
        if fresh > 0 and self.share < 1:
            left = seconds / fresh * (1 - self.share)
            facts.append(f"{left / 60:.0f} min left" if left >= 90 else f"{left:.0f} s left")
        if self._scored and math.isfinite(self._score):
            facts.append(f"mean score {self._score / self._scored:.3f}")
        return facts

    def _print(self, line: str) -> None:
        if self._bar is not None:
            with suppress(OSError):
                self._bar.console.print(line, markup=False, highlight=False)  # above the bar
        else:
            print_error(line)

    def _show(self) -> None:
        if self._bar is not None:
            with suppress(OSError):
                self._bar.update(self._bar.task_ids[0], completed=self.share, facts="  ".join(self.facts()))
        elif self.enabled and time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            print_error(self.line())


def short(count: float) -> str:
    """A count in few letters: 640, 12.8k, 3.64M."""
    for unit in ("", "k", "M", "G"):
        if count < 999.5 or unit == "G":
            return f"{count:.3g}{unit}"
        count /= 1000
    raise AssertionError


def _bar(title: str) -> Bar:
    """A bar of one line that goes away at its end; the title gives way where the terminal is narrow."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    bar = Bar(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        BarColumn(bar_width=12),
        TaskProgressColumn(),
        TextColumn("{task.fields[facts]}", markup=False, table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
        expand=True,
    )
    bar.add_task(title, total=1.0, facts="")
    return bar
