"""Tests look at the package from outside: what it keeps to itself can change and they hold still."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "scaling"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined(tree: ast.AST) -> set[str]:
    """The private names of functions, classes, variables and attributes that a file defines."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                found.add(name)
    return {name for name in found if is_private(name)}


def reached(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that a test reads, calls, imports or patches on something else than its own object, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "scaling":
                yield from ((node.lineno, part) for each in names for part in f"{module}.{each.name}".split("."))
            case ast.Call(args=args):
                texts = [each.value for each in args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
                yield from ((node.lineno, part) for text in texts for part in text.split("."))


def inherited(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that a test's class takes from its own object and that the file does not give it."""
    own = defined(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if name not in own:
                yield node.lineno, name


def test_no_test_reaches_for_a_private_name_of_the_package():
    private = set.union(*(defined(ast.parse(path.read_text())) for path in PACKAGE.rglob("*.py")))
    assert "_imported" in private
    trees = {path: ast.parse(path.read_text()) for path in sorted(TESTS.rglob("*.py"))}
    assert [
        f"{path.relative_to(TESTS)}:{line}: {name}"
        for path, tree in trees.items()
        for line, name in (*reached(tree), *inherited(tree))
        if name in private
    ] == []
