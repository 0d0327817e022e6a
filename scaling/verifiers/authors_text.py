"""What a published judge is asked, word for word: out of its authors' own Python file, which is read and never run."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

SLOT = "{prompt}"  # where the prompt goes in a text that `f_string` returns


def constants(file: Path, names: Sequence[str]) -> list[str]:
    """The texts that the file's top level gives these names; a ValueError says which of them it lacks."""
    found: dict[str, str] = {}
    for node in _tree(file).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{file} gives no text the name {missing[0]}: the authors' own file is needed")
    return [found[name] for name in names]


def f_string(file: Path) -> str:
    """The file's one f-string about a `prompt`, with `{prompt}` where it goes; a ValueError where there is no such."""
    found = {
        "".join(str(part.value) if isinstance(part, ast.Constant) else SLOT for part in node.values)
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.JoinedStr)
        and [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)] == ["prompt"]
    }
    if len(found) != 1:
        raise ValueError(
            f"{file} has {len(found)} f-strings about a prompt, where one is needed: the authors' own file"
        )
    return found.pop()


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"cannot read the Python file {file} ({str(error).splitlines()[0]})") from None
