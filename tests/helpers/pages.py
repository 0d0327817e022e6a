"""What the README and the pages of docs/ show: files, command lines, options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "howto"
EXAMPLES = ROOT / "docs" / "examples"
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
STANDS_FOR = {"<run>": "RUN", "figNN": "fig06"}  # what a page leaves to its reader
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"^(?: {4}|\t)(.*)$|`([^`\n]+)`", re.MULTILINE)


def steps(page: Path) -> list[tuple[str, str]]:
    """The page's files and commands in order: (file name, text) or ("", command line)."""
    found: list[tuple[str, str]] = []
    for language, title, text in _BLOCK.findall(page.read_text()):
        if title:
            found.append((title, text))
        elif language == "sh":
            found += [("", line) for line in text.splitlines()]
    return found


def quoted(path: Path) -> list[str]:
    """What a page has between backticks."""
    return [inline for _, inline in _CODE.findall(path.read_text()) if inline]


def commands(program: str) -> list[str]:
    """The command lines of all pages, once each, in order."""
    found: dict[str, None] = {}
    for path in TEXTS:
        lines = [text for title, text in steps(path) if not title]
        lines += [block or inline for block, inline in _CODE.findall(path.read_text())]
        for line in lines:
            for part in re.split(r"\s+&&\s+|\s+#\s", line.strip()):
                command = re.sub(r"^(\w+=\S+ )+(?=scaling)", "", part)  # variables before the command
                if command.startswith(f"{program} "):
                    found[command] = None
    return list(found)


def words(command: str) -> list[str]:
    """The command's words, without what a page leaves open."""
    command = re.sub(r"\[(--[^\]]*)\]", r"\1", command)
    for name, value in STANDS_FOR.items():
        command = command.replace(name, value)
    return [word for word in shlex.split(command)[1:] if "..." not in word]
