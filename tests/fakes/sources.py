"""Facts about each module of the repository, each gathered once: to parse all of them takes seconds.

Tests that ask for them are of one ``xdist_group``, so that one process gathers for all.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("common", "ingest", "egress", "transcode", "broker", "relay", "camshaft")
PACKAGES = (*PRODUCT, "rigs", "bench")


@dataclass(frozen=True, slots=True)
class Source:
    """One module, by what its text says."""

    imports: set[str] = field(default_factory=set)  # dotted names, of inner imports and those for types, too
    docstrings: list[str] = field(default_factory=list)  # texts that stand alone as statements
    classes: list[tuple[str, int]] = field(default_factory=list)  # each with its number of lines


@cache
def source(path: Path) -> Source:
    """Gather the facts about a module."""
    found = Source()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                found.imports.update(alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                found.imports.update((module, *(f"{module}.{alias.name}" for alias in names)))
            case ast.Expr(value=ast.Constant(value=str(text))):
                found.docstrings.append(text)
            case ast.ClassDef(name=name):
                found.classes.append((name, (node.end_lineno or 0) - node.lineno + 1))
    return found


def modules(*folders: str) -> list[Path]:
    """The modules below these folders, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
