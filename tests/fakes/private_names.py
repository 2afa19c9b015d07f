"""Private names: those that a module makes, and those that it uses of others."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

PUBLIC = {"_asdict", "_exit", "_fields", "_make", "_replace"}  # documented, in spite of their names


@dataclass(slots=True)
class Names:
    """Those of a module, or of a class in it."""

    made: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)  # by ``self`` in a class, of other objects in a module
    bases: list[str] = field(default_factory=list)  # of a class
    classes: dict[str, Names] = field(default_factory=dict)  # of a module


def names_of(tree: ast.AST) -> Names:
    """The names of a module, and of each class in it."""
    found = Names()
    for node in ast.walk(tree):
        if type(node) is ast.ClassDef:
            its = found.classes.setdefault(node.name, Names())
            its.bases += [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]
            for each in ast.walk(node):
                _add(its, each, of_itself=True)
        _add(found, node, of_itself=False)
    return found


def _add(names: Names, node: ast.AST, *, of_itself: bool) -> None:
    kind = type(node)
    if kind is ast.Attribute:
        own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if own and isinstance(node.ctx, ast.Store):
            names.made.add(node.attr)
        elif own is of_itself and private(node.attr):
            names.used.add(node.attr)
    elif kind is ast.Name:
        if isinstance(node.ctx, ast.Store):
            names.made.add(node.id)
    elif kind in (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef):
        names.made.add(node.name)
    elif kind is ast.alias:
        names.made.add(node.asname or node.name.rpartition(".")[2])
    elif kind is ast.Constant and isinstance(node.value, str) and node.value.isidentifier():  # in __slots__
        names.made.add(node.value)


def private(name: str) -> bool:
    """Whether it is one that others leave alone."""
    return name.startswith("_") and not name.endswith("__") and name not in PUBLIC
