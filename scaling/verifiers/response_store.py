"""What a paid judge answered and what it cost, on disk: nothing is asked twice, nothing is spent over the cap."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ResponseStore:
    """Answers by key, and a ledger of charges; one file (SQLite) that threads and processes share."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        with self._open() as database:
            database.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, content TEXT NOT NULL)")
            database.execute("CREATE TABLE IF NOT EXISTS charges (number INTEGER PRIMARY KEY, dollars REAL NOT NULL)")

    def get(self, key: str) -> str | None:
        """The answer that is kept for a key."""
        with self._open() as database:
            row = database.execute("SELECT content FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, content: str) -> None:
        """Keeps an answer; the first one stays."""
        with self._open() as database:
            database.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, content))

    def spent(self) -> float:
        """Dollars so far, with what is reserved for requests under way."""
        with self._open() as database:
            return float(database.execute("SELECT TOTAL(dollars) FROM charges").fetchone()[0])

    def reserve(self, dollars: float, cap: float | None) -> int:
        """Sets aside what a request may cost at most and returns its number; a ValueError where the cap forbids it."""
        with self._open() as database:
            spent = float(database.execute("SELECT TOTAL(dollars) FROM charges").fetchone()[0])
            if cap is not None and spent + dollars > cap:
                raise ValueError(
                    f"the next request may cost {dollars:.4f} dollars and {spent:.4f} of the cap of {cap} are spent; "
                    f"raise the cap to go on: the answers so far are kept in {self.file}"
                )
            return int(database.execute("INSERT INTO charges (dollars) VALUES (?)", (dollars,)).lastrowid or 0)

    def settle(self, number: int, dollars: float) -> None:
        """Replaces what was reserved by what was charged."""
        with self._open() as database:
            database.execute("UPDATE charges SET dollars = ? WHERE number = ?", (dollars, number))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which no other writer can come into."""
        database = sqlite3.connect(self.file, timeout=60, isolation_level=None)
        try:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        finally:
            database.close()
