"""What to cite for what ran: the papers of its options, of its parts and of this project, as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from scaling.config.catalog import ARXIV, GROUPS, docstrings, find, targets

TABLE = Path(__file__).parents[1] / "references.bib"
PAPER = "2501.09732"  # the study that this project follows
SOFTWARE = "scaling_study"
_ENTRY = re.compile(r"^@\w+\{(?P<key>[^,]+),\n.*?^\}", re.DOTALL | re.MULTILINE)
_PAPER = re.compile(r"eprint = \{([^}]+)\}")
_HUB = re.compile(r"([\w.-]+/[\w.-]+)(?:/[\w.+-]+)*")


@cache
def table() -> dict[str, str]:
    """The entries of references.bib by arXiv number, or by key where there is none."""
    entries = {match["key"]: match[0] for match in _ENTRY.finditer(TABLE.read_text())}
    return {found[1] if (found := _PAPER.search(text)) else key: text for key, text in entries.items()}


def bibtex(configs: Iterable[Mapping[str, Any]]) -> str:
    """The entries of all that these runs' configurations used, each with what it is cited for; this project first.

    A model on the hub whose option names no paper is cited by its address.
    """
    used: dict[str, list[str]] = {PAPER: ["this study"], SOFTWARE: ["this study"]}
    cards: dict[str, str] = {}
    for config in configs:
        for reason, number in _papers(config):
            reasons = used.setdefault(number, [])
            if reason not in reasons:
                reasons.append(reason)
        cards |= _cards(config)
    entries = table()
    lines = [f"% {', '.join(reasons)}\n{_entry(entries, number)}" for number, reasons in used.items()]
    return "\n\n".join([*lines, *(f"% {reason}\n{card}" for card, reason in cards.items())]) + "\n"


def _papers(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The papers of a run with what they are cited for: of its options, and of all its parts."""
    for group in GROUPS:
        name = config.get("choices", {}).get(group)
        option = find(group, str(name)) if group != "experiment" else None
        if option is not None:
            yield from ((f"{group} {name}", number) for number in option.sources)
    for target in targets({key: value for key, value in config.items() if key != "choices"}):
        part = target.rpartition(".")[2]
        yield from ((part, number) for text in docstrings(target) for number in ARXIV.findall(text))


def _cards(config: Mapping[str, Any]) -> dict[str, str]:
    """The entry of the hub repository of a model whose option names no paper, with what it is cited for."""
    name = str(config.get("choices", {}).get("model"))
    option = find("model", name)
    path = _HUB.fullmatch(str(config.get("model", {}).get("path", "")))
    if path is None or Path(path[0]).exists() or (option is not None and option.sources):
        return {}
    key, address = re.sub(r"\W+", "_", path[1]), f"\\url{{https://huggingface.co/{path[1]}}}"
    return {f"@misc{{{key},\n  title = {{{path[1]}}},\n  howpublished = {{{address}}},\n}}": f"model {name}"}


def _entry(entries: Mapping[str, str], number: str) -> str:
    """The table's entry; the bare number where a user's own part names a paper that the table lacks."""
    return entries.get(number) or f"@misc{{arxiv_{number},\n  eprint = {{{number}}},\n  archiveprefix = {{arXiv}},\n}}"
