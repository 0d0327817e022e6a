"""How far a run is: a live line in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

EVERY = 30.0  # seconds between plain lines


class Progress:
    """Counts conditions, NFE and images; shows them with the incumbents' mean score and the time left."""

    def __init__(self, title: str, conditions: int, enabled: bool = True) -> None:
        self.title, self.conditions, self.enabled = title, conditions, enabled
        self.done = self.nfe = self.images = 0
        self._skipped = 0  # conditions that the journal or an earlier run answered: no pace to learn from
        self._score, self._scored = 0.0, 0
        self._begun = time.monotonic()
        self._said = self._begun
        self._status: Status | None = None

    def __enter__(self) -> Progress:
        if self.enabled and sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status(self.line())
            self._status.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.__exit__(kind, error, trace)

    def rows(self, rows: int, nfe: int) -> None:
        self.images += rows
        self.nfe += nfe
        self._show()

    def block(self, conditions: int, mean_score: float, paid: bool) -> None:
        self.done += conditions
        self._skipped += 0 if paid else conditions
        self._score += mean_score * conditions
        self._scored += conditions
        self._show()

    def line(self) -> str:
        seconds = max(time.monotonic() - self._begun, 1e-9)
        parts = [f"{self.title}: {self.done}/{self.conditions} conditions", f"{self.nfe:,} NFE"]
        parts.append(f"{self.images / seconds:.1f} images/s")
        if self._scored:
            parts.append(f"mean score {self._score / self._scored:.3f}")
        if (fresh := self.done - self._skipped) and self.done < self.conditions:
            left = seconds / fresh * (self.conditions - self.done)
            parts.append(f"{left / 60:.0f} min left" if left >= 90 else f"{left:.0f} s left")
        return " | ".join(parts)

    def _show(self) -> None:
        if self._status is not None:
            self._status.update(self.line())
        elif self.enabled and time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)
