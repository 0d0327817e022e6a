"""What options there are: read from the heads of their yamls and the sources of their classes, which are not run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scaling.checks import leaves
from scaling.config.own import ENTRY_POINTS, imported, installed, keywords_of, node_of, package_folders, part_of, top_of
from scaling.config.places import CONF
from scaling.extras import EXTRAS
from scaling.source import PACKAGE

GROUPS = ("search", "verifier", "model", "metrics", "conditions", "experiment")
ORIGINS = ("offline", "download", "yours", "endpoint")  # the last one that an option's parts have is its own
ARXIV = re.compile(r"\b\d{4}\.\d{4,5}\b")
_HUB = re.compile(r"[\w.-]+/[\w.-]+(/[\w.+-]+)*")
_SENTENCE = re.compile(r"(?<!al)\.(?= [A-Z0-9`(]|$)|$")
_TAKES = re.compile(r"Takes (.+?)\.(?= |$)|(Never run .+?)\.(?= |$)")
_COMMAND = re.compile(r"scaling(-study)? .*")


@dataclass(frozen=True)
class Option:
    """An option of a group, as a person chooses it."""

    group: str
    name: str
    head: str  # the comment on top of its yaml, or its class's docstring, as one text
    node: Mapping[str, Any]
    parents: tuple[Option, ...] = ()  # what its yaml builds on
    chosen: tuple[Option, ...] = ()  # the options that a preset or a model chooses beside it

    @property
    def what(self) -> str:
        """The first sentence of its head."""
        end = _SENTENCE.search(self.head)
        return self.head[: end.start() if end else None]

    @property
    def origin(self) -> str:
        """Where what it needs comes from: one of `ORIGINS`; `yours` waits for a value or a file."""
        if self.group == "experiment":
            return max((each.origin for each in self.chosen), key=ORIGINS.index, default="offline")
        return _origin(self.whole)

    @property
    def extras(self) -> tuple[str, ...]:
        """The extras of the distribution that it imports from."""
        own = {extra for target in targets(self.whole) for extra in _extras(*_split(target))[0]}
        others = self.chosen if self.group == "experiment" else ()
        return tuple(sorted(own.union(*(each.extras for each in others))))

    @property
    def takes(self) -> str:
        """How long a preset took where it was measured, as its head says, or that it was never run."""
        found = _TAKES.search(self.head)
        return (found[1] or found[2].lower()) if found else ""

    @property
    def sources(self) -> tuple[str, ...]:
        """The papers that its head and the docstrings behind it name, by their arXiv numbers."""
        heads = [self.head, *(parent.head for parent in self.parents)]
        texts = [*heads, *(text for target in targets(self.whole) for text in docstrings(target))]
        return tuple(dict.fromkeys(number for text in texts for number in ARXIV.findall(text)))

    @property
    def whole(self) -> dict[str, Any]:
        """Its configuration with that of its parents; of a model without what it brings along."""
        found: dict[str, Any] = {}
        for parent in self.parents:
            found = _merged(found, parent.whole)
        return _merged(found, self.node.get("model", {}) if self.group == "model" else self.node)


def options(group: str) -> list[Option]:
    """All options of a group, those of installed packages too, by name; presets of the paper's own models last."""
    found: dict[str, Option] = {}
    for point in installed(group) if group in ENTRY_POINTS else ():
        part = part_of(group, point.name)
        head = " ".join((ast.get_docstring(part.definition) or "").split("\n\n")[0].split())
        found[point.name] = Option(group, point.name, head, node_of(group, point.name))
    for folder in [*package_folders(), CONF]:
        paths = [*(folder / group).glob("*.yaml"), *(folder / group).glob("paper/*.yaml")]
        found |= {option.name: option for option in (read(folder, group, path) for path in sorted(paths))}
    return [found[name] for name in sorted(found, key=lambda name: ("/" in name, name))]


def find(group: str, name: str) -> Option | None:
    """An option of conf/ by its name."""
    path = CONF / group / f"{name}.yaml"
    return read(CONF, group, path) if path.is_file() else None


@cache
def read(folder: Path, group: str, path: Path) -> Option:
    """The option that a yaml describes."""
    from omegaconf import OmegaConf

    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("# ").rstrip()
        if not text.startswith("@") and not _COMMAND.fullmatch(text):
            lines.append(text)
    node: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[assignment]
    defaults = node.pop("defaults", [])
    files = [folder / group / f"{each.partition('@')[0]}.yaml" for each in defaults if isinstance(each, str)]
    parents = [read(folder, group, file) for file in files if file.is_file()]
    chosen = list(_chosen(defaults, node)) if group in ("experiment", "model") else []
    if group == "experiment":  # what its models bring along, where it says nothing else
        named = {each.group for each in chosen}
        chosen += [each for model in chosen for each in model.chosen if each.group not in named]
    else:
        parents += [] if group == "model" else list(_chosen(defaults, node))
    name = str(path.relative_to(folder / group).with_suffix(""))
    return Option(group, name, " ".join(" ".join(lines).split()), node, tuple(parents), tuple(chosen))


def _chosen(defaults: list[Any], node: Mapping[str, Any]) -> Iterator[Option]:
    """The options that a preset names, in its defaults or as a sweep."""
    pairs = [pair for each in defaults if isinstance(each, dict) for pair in each.items()]
    pairs += list(node.get("hydra", {}).get("sweeper", {}).get("params", {}).items())
    for key, value in pairs:
        group = str(key).split(" ")[-1].lstrip("/").partition("@")[0]
        for name in str(value).split(",") if group in GROUPS else ():
            if (option := find(group, name)) is not None:
                yield option


def targets(node: Any) -> list[str]:
    """Every `_target_` of a configuration, once."""
    return list(dict.fromkeys(str(part["_target_"]) for part in _parts(node)))


def _parts(node: Any) -> Iterator[Mapping[str, Any]]:
    """The mappings of a configuration that say what they are made into."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _parts(value)


def _origin(node: Mapping[str, Any]) -> str:
    """The last of `ORIGINS` that a part's words, or its class's defaults where it says nothing, speak of."""
    words = [value for _, value in leaves(node) if _is_word(value)]
    for part in _parts(node):
        words += [value for key, value in defaults_of(part["_target_"]).items() if key not in part and _is_word(value)]
    fetched = {"download" for target in targets(node) if "torch_fidelity" in _extras(*_split(target))[1]}
    return max([*fetched, *map(_origin_of, words)], key=ORIGINS.index, default="offline")


def _origin_of(word: str) -> str:
    if word.startswith(("http://", "https://")):
        return "endpoint"
    if word == "???" or (word.endswith(".npz") and not (PACKAGE / "weights" / word).is_file()):
        return "yours"
    return "download" if _HUB.fullmatch(word) else "offline"


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and " " not in value


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def _split(target: str) -> tuple[str, str]:
    module, _, name = target.rpartition(".")
    return module, name


@cache
def _tree(module: str) -> ast.Module | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    return ast.parse(Path(spec.origin).read_bytes())


@cache
def _names(module: str) -> dict[str, ast.AST | tuple[str, str]]:
    return {} if (tree := _tree(module)) is None else top_of(tree)


def _defined(module: str, name: str) -> tuple[str, ast.AST | None]:
    """The module and node of a name, followed through imports."""
    found = _names(module).get(name)
    while isinstance(found, tuple) and found[0].startswith("scaling."):
        module, name = found
        found = _names(module).get(name)
    return module, None if isinstance(found, tuple) else found


@cache
def _extras(module: str, name: str) -> tuple[frozenset[str], frozenset[str]]:
    """The extras that a class or function needs, and the libraries: by all that it and what it uses of ours imports.

    An import under a condition is not needed by everyone and does not count; `import diffusers` as a whole stands for
    its pipelines, which need the text encoders' extra.
    """
    libraries: set[str] = set()
    waiting, seen = [(module, name)], set()
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        where, node = _defined(*place)
        for used in _used(where, node):
            if used[0].startswith("scaling."):
                waiting.append(used)
            else:
                libraries.add("transformers" if used == ("diffusers", "") else used[0].partition(".")[0])
    return frozenset(EXTRAS[each] for each in libraries if each in EXTRAS), frozenset(libraries)


def _used(module: str, node: ast.AST | None) -> Iterator[tuple[str, str]]:
    """What a definition uses: (module, name) of ours, (module, ...) of others'."""
    names = _names(module)
    for each in _walk(node) if node is not None else ():
        if isinstance(each, ast.Import | ast.ImportFrom):
            yield from imported(each).values()
        elif isinstance(each, ast.Name) and each.id in names:
            known = names[each.id]
            yield known if isinstance(known, tuple) else (module, each.id)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one, but for imports under a condition."""
    yield node
    for each in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.If) and isinstance(each, ast.Import | ast.ImportFrom)):
            yield from _walk(each)


def defaults_of(target: str) -> dict[str, Any]:
    """The plain defaults of a class's or function's parameters."""
    _, node = _defined(*_split(target))
    return keywords_of(node) if isinstance(node, ast.ClassDef | ast.FunctionDef) else {}


def docstrings(target: str) -> tuple[str, ...]:
    """The docstring of a class or function, and that of its module."""
    module, node = _defined(*_split(target))
    tree = _tree(module)
    own = ast.get_docstring(node) if isinstance(node, ast.ClassDef | ast.FunctionDef) else None
    return (own or "", (ast.get_docstring(tree) or "") if tree is not None else "")
