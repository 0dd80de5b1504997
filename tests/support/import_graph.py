"""The imports between modules of the Python package, also for types and inside functions.

``python tests/support/import_graph.py`` counts modules and imports, and prints every circle.
"""

from __future__ import annotations

import ast
from pathlib import Path

__all__ = ["PACKAGE", "circles", "import_graph", "modules"]

PACKAGE = Path(__file__).resolve().parents[2] / "python" / "fastmlp"


def modules() -> dict[str, Path]:
    """Return all modules by name; a package has the name of its folder."""
    found = {}
    for path in sorted([*PACKAGE.rglob("*.py"), PACKAGE / "_core.pyi"]):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imported(name: str, path: Path) -> set[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def import_graph() -> dict[str, set[str]]:
    """Return for each module the modules of the package that it imports anywhere.

    A name of a package counts as an import of the module it is, or else of the package.
    """
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        graph[name] = set()
        for target in _imported(name, path):
            while target and target not in known:
                target = target.rpartition(".")[0]
            if target and target != name:
                graph[name].add(target)
    return graph


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return groups of modules that import each other, directly or through others."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    reach = {name: reached(name) for name in graph}
    found: list[set[str]] = []
    for name in graph:
        circle = {other for other in reach[name] if name in reach[other]}
        if circle and circle not in found:
            found.append(circle)
    return found


if __name__ == "__main__":
    graph = import_graph()
    print(f"{len(graph)} modules, {sum(map(len, graph.values()))} imports of each other")
    for circle in circles(graph):
        print("circle:", ", ".join(sorted(circle)))
