"""Configuration keys that had another name before: typed they are refused, recorded ones are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RENAMED = {
    "journal": {"keep": "retention", "probe": "probe_sigma"},
    "verifier": {"probe": "probe_sigma", "reads": "feature"},
    "scorers": {"probe": "probe_sigma", "reads": "feature"},
    "metrics": {"reads": "feature"},
}


def renamed(key: str) -> str | None:
    """What a dotted key is called by now, where it had another name before."""
    path, _, name = key.rpartition(".")
    new = RENAMED.get(path.partition(".")[0], {}).get(name)
    return f"{path}.{new}" if new else None


def refuse_former(config: Mapping[str, Any]) -> None:
    """A ValueError where a configuration has a key by a name that it had before."""
    for group, names in RENAMED.items():
        for path, node in _nodes(config.get(group), group):
            for old, new in names.items():
                if old in node:
                    raise ValueError(f"{path}.{old} is called {path}.{new} by now")


def current(config: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded configuration, plain data, under today's names."""
    return _translated(config, RENAMED)


def former(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration under the names that keys had first, which names of run folders are made of."""
    return _translated(config, {group: {new: old for old, new in names.items()} for group, names in RENAMED.items()})


def _translated(config: Mapping[str, Any], names: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    return {key: _replaced(value, names[key]) if key in names else value for key, value in config.items()}


def _replaced(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        ours = _is_ours(node)
        return {names.get(key, key) if ours else key: _replaced(value, names) for key, value in node.items()}
    return [_replaced(each, names) for each in node] if isinstance(node, list) else node


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The mappings within a group that are parameters of ours."""
    if isinstance(node, Mapping):
        if _is_ours(node):
            yield path, node
        for key, value in node.items():
            yield from _nodes(value, f"{path}.{key}")


def _is_ours(node: Mapping[str, Any]) -> bool:
    """Whether it has no class of others, whose parameters are called as they like."""
    return str(node.get("_target_", "scaling.")).startswith("scaling.")
