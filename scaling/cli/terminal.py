"""What only a terminal can show: an image in it, by the protocols of kitty and iTerm2."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping
from typing import TextIO

CHUNK = 4096  # characters that kitty takes at a time


def inline_image(png: bytes, out: TextIO | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """What shows a PNG where `out` (standard output) is a terminal that says that it can; "" elsewhere."""
    out = out or sys.stdout
    if not out.isatty() or "TMUX" in environment:
        return ""
    data = base64.b64encode(png).decode()
    if "KITTY_WINDOW_ID" in environment or environment.get("TERM") in ("xterm-kitty", "xterm-ghostty"):
        return _kitty(data)
    if environment.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return f"\x1b]1337;File=inline=1;preserveAspectRatio=1:{data}\a\n"
    return ""


def _kitty(data: str) -> str:
    parts = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    heads = ["a=T,f=100,"] + [""] * (len(parts) - 1)
    more = [1] * (len(parts) - 1) + [0]
    return "".join(
        f"\x1b_G{head}m={left};{part}\x1b\\" for head, left, part in zip(heads, more, parts, strict=True)
    ) + "\n"  # fmt: skip
