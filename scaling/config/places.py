"""Where the package and its configuration lie."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parents[1]  # the package
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"  # in a wheel; in a clone
