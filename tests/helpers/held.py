"""Whether a folder's lease is held."""

from __future__ import annotations

from pathlib import Path

from scaling.journal.lease import FREE, newest


def is_held(folder: Path) -> bool:
    """Whether somebody has the lease or died with it; not while it is being taken."""
    return newest(folder) not in (None, FREE, b"")
