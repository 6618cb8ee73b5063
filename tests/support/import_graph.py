"""Which file imports which, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from places import ROOT

PACKAGES = ("pointsam_model", "pointsam_ros")


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted names and files of both packages."""
    files = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    return {_name(path.relative_to(root)): path for path in sorted(files)}


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """What each module imports: full names of our modules, first names of others.

    Imports inside of functions and for types alone count like all others.
    """
    known = modules(root)
    return {name: set(_imported(path, known)) - {name} for name, path in known.items()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, directly or by way of others (Tarjan, 1972)."""
    found: list[list[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        path.append(module)
        for other in sorted(graph[module] & graph.keys()):
            if other not in number:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in path:
                lowest[module] = min(lowest[module], number[other])
        if lowest[module] == number[module]:
            start = path.index(module)
            if len(path) - start > 1:
                found.append(sorted(path[start:]))
            del path[start:]

    for module in graph:
        if module not in number:
            visit(module)
    return found


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """All modules of ours that are imported with one, itself included."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += graph[module] & graph.keys()
    return seen


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            of_module = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [each if each in known else node.module for each in of_module]
        for name in names:
            yield name if name in known else name.partition(".")[0]
