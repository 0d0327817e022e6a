"""Parts of one's own in place of an option: `search=my_search.py:Halfway`, or an installed package's entry point.

A part becomes the configuration that a yaml of it would be. Its file is read, not run, so that composing stays cheap.
"""

from __future__ import annotations

import ast
import difflib
import os
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scaling.config.places import CONF
from scaling.files import user_path

ENTRY_POINTS = {  # by the option's group, that of the entry points of packages
    "search": "scaling.search",
    "verifier": "scaling.verifiers",
    "metrics": "scaling.metrics",
    "model": "scaling.models",
    "conditions": "scaling.conditions",
}
Node = dict[str, Any]
Definition = ast.ClassDef | ast.FunctionDef


def import_from_here() -> None:
    """Lets files of the current folder be imported; last, so that they hide no library."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


@dataclass(frozen=True)
class Part:
    """A class or function by where it is defined."""

    said: str  # what was typed, for errors
    place: str  # a file, or a module's dotted name
    path: Path
    definition: Definition

    @property
    def name(self) -> str:
        """The definition's name."""
        return self.definition.name

    @property
    def function(self) -> str:
        """As `verifier.function` takes it; a file may have any name there."""
        return f"{self.place}:{self.name}"

    @property
    def target(self) -> str:
        """As `_target_` takes it; a ValueError where a file cannot be imported under a name."""
        module = _module(self.path, self.said) if self.place.endswith(".py") else self.place
        return f"{module}.{self.name}"

    @property
    def keywords(self) -> Node:
        """Its parameters that have a plain default, for overrides without a plus."""
        return keywords_of(self.definition)


def node_of(group: str, choice: str) -> Node:
    """The configuration of a group that a choice such as `my_search.py:Halfway` or an entry point's name stands for.

    Raises:
        ValueError: where the file or the name in it is not there, with the nearest names, or it cannot be imported.
    """
    return _NODES[group](part_of(group, choice))


def part_of(group: str, choice: str) -> Part:
    """Where a choice's class or function is."""
    points = {point.name: point for point in installed(group)}
    place, _, name = (points[choice].value if choice in points else choice).rpartition(":")
    said = f"{group}={choice}"
    if place.endswith(".py"):
        path = user_path(place)
        if not path.is_file():
            raise ValueError(f"{said}: there is no file {path} (seen from {Path.cwd()})")
    else:
        path = _file(place, said)
    return Part(said, place, path, _definition(path, name, said))


def names_a_part(choice: str) -> bool:
    """Whether a choice is a class or function by its file or module, not an option's name."""
    place, _, name = choice.rpartition(":")
    return bool(place) and name.isidentifier()


def installed(group: str) -> list[EntryPoint]:
    """The entry points of installed packages for a group."""
    return sorted(entry_points(group=ENTRY_POINTS[group]), key=lambda point: point.name)


def package_folders() -> list[Path]:
    """The folders `conf` of the packages that have entry points: their yamls are options like ours."""
    packages = dict.fromkeys(point.module.partition(".")[0] for group in ENTRY_POINTS for point in installed(group))
    specs = [spec for package in packages if (spec := find_spec(package)) is not None]
    places = [Path(place) / "conf" for spec in specs for place in spec.submodule_search_locations or ()]
    return [place for place in places if place.is_dir()]


def keywords_of(definition: Definition) -> Node:
    """The parameters of a class or function that have a plain default."""
    found = _fields(definition) if isinstance(definition, ast.ClassDef) else _defaults(definition)
    return {name: value for name, value in found.items() if not name.startswith("_")}


def _search(part: Part) -> Node:
    partial = {"_partial_": True} if isinstance(part.definition, ast.FunctionDef) else {}
    return {"_target_": part.target, **partial, **part.keywords}


def _conditions(part: Part) -> Node:
    return {"_target_": part.target, **part.keywords}


def _verifier(part: Part) -> Node:
    """A class that is told whole conditions is a verifier as it is; anything else judges images and prompts."""
    call = _method(part.definition, "__call__") if isinstance(part.definition, ast.ClassDef) else None
    if call is not None and "conditions" in {argument.arg for argument in call.args.args}:
        return {"_target_": part.target, **part.keywords}
    return {"_target_": "scaling.verifiers.python.Python", "function": part.function, "arguments": part.keywords}


def _metrics(part: Part) -> Node:
    judge = {"_target_": "scaling.verifiers.python.PythonValues", "function": part.function, "arguments": part.keywords}
    value = {"_target_": "scaling.metrics.per_sample.Value", "feature": f"{part.name}.value"}
    return {"extractors": {part.name: judge}, "set": {}, "per_sample": {part.name: value}}


def _model(part: Part) -> Node:
    """As model=custom, whose yaml says what a model of one's own starts with."""
    from omegaconf import OmegaConf

    custom: Node = OmegaConf.to_container(OmegaConf.load(CONF / "model" / "custom.yaml"))  # type: ignore[assignment]
    return {**custom, "model": {"_target_": part.target, **part.keywords}}


_NODES = {"search": _search, "verifier": _verifier, "metrics": _metrics, "model": _model, "conditions": _conditions}


def _module(path: Path, said: str) -> str:
    """The dotted name under which a file is imported."""
    import_from_here()
    path = path.resolve()
    for place in (Path(entry or ".").resolve() for entry in sys.path):
        if path.is_relative_to(place):
            parts = path.relative_to(place).with_suffix("").parts
            if all(part.isidentifier() for part in parts) and _origin(".".join(parts)) == path:
                return ".".join(parts)
    raise ValueError(
        f"{said}: {path.name} cannot be imported as {path.stem}: its name has to be a Python name that no library has, "
        "and its folder the current one (or on PYTHONPATH)"
    )


def _file(module: str, said: str) -> Path:
    """The file of a module by its dotted name."""
    import_from_here()
    found = _origin(module)
    if found is None or not found.is_file():
        raise ValueError(f"{said}: there is no module {module}; a file is named with its suffix, as in my_file.py:name")
    return found


def _origin(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None


def _definition(path: Path, name: str, said: str) -> Definition:
    """The class or function of that name in a file, or in the file that it imports it from."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise ValueError(f"{said}: {path.name}, line {error.lineno}: {error.msg}") from None
    defined = {each.name: each for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef)}
    if name in defined:
        return defined[name]
    if name in (names := top_of(tree).keys() - {"annotations"}):  # imported, or made by a call
        return ast.FunctionDef(name, ast.arguments([], [], None, [], [], None, []), [], [])
    near = difflib.get_close_matches(name, names, 1, cutoff=0.4) or sorted(each for each in defined if each[0] != "_")
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"{said}: {path.name} has no {name}{hint}")


def top_of(tree: ast.Module) -> dict[str, ast.AST | tuple[str, str]]:
    """What a module's top defines, by name: its node, or (module, name) where it is imported."""
    found: dict[str, ast.AST | tuple[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {each.id: node for each in node.targets if isinstance(each, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= imported(node)
    return found


def imported(node: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str]]:
    """What an import brings, by the name that it has here: (module, name), of a whole module ""."""
    if isinstance(node, ast.Import):
        return {(alias.asname or alias.name).partition(".")[0]: (alias.name, "") for alias in node.names}
    return {alias.asname or alias.name: (node.module or "", alias.name) for alias in node.names}


def _fields(kind: ast.ClassDef) -> Node:
    """The plain defaults of a constructor, or of a dataclass's fields."""
    if (constructor := _method(kind, "__init__")) is not None:
        return _defaults(constructor)
    if not any("dataclass" in ast.unparse(each) for each in kind.decorator_list):
        return {}
    known = [each for each in kind.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)]
    named = [(each.target.id, each.value) for each in known if "ClassVar" not in ast.unparse(each.annotation)]  # type: ignore[union-attr]
    return _plain(named)


def _method(kind: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((each for each in kind.body if isinstance(each, ast.FunctionDef) and each.name == name), None)


def _defaults(function: ast.FunctionDef) -> Node:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    pairs = [*zip(with_default, arguments.defaults, strict=True)]
    pairs += [pair for pair in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if pair[1] is not None]  # type: ignore[misc]
    return _plain([(argument.arg, value) for argument, value in pairs])


def _plain(values: list[tuple[str, ast.expr | None]]) -> Node:
    """Those that a yaml can hold."""
    found: Node = {}
    for name, value in values:
        try:
            plain = ast.literal_eval(value)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            continue
        if plain is None or isinstance(plain, bool | int | float | str):
            found[name] = plain
    return found
