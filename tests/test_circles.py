"""No two files of the package need each other, not even for a type."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "scaling"


def imports() -> dict[str, set[str]]:
    """Every module of the package with those of it that it imports, inside functions and for types too."""

    def name(path: Path) -> str:
        return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")

    trees = {name(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for module, tree in trees.items():
        found: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{each.name}" for each in node.names}
                found |= whole & trees.keys() or {node.module}
        graph[module] = (found & trees.keys()) - {module}
    return graph


def test_no_files_import_each_other_in_a_circle():
    graph = imports()
    assert "scaling.runner.blocks" in graph["scaling.runner.run"]
    TopologicalSorter(graph).prepare()  # a CycleError names the circle
