"""Facts about each module of the repository, each gathered once: to parse all of them takes seconds.

Tests that ask for them are of one ``xdist_group``, so that one process gathers for all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.fakes.private_names import Names, names_of

ROOT = Path(__file__).parents[2]
PRODUCT = ("common", "ingest", "egress", "transcode", "broker", "relay", "camshaft")
PACKAGES = (*PRODUCT, "rigs", "bench")
_SAYS = re.compile(r"\b[Rr]aise[sd]?\b")


@dataclass(frozen=True, slots=True)
class Source:
    """One module, by what its text says."""

    imports: set[str] = field(default_factory=set)  # dotted names, of inner imports and those for types, too
    docstrings: list[str] = field(default_factory=list)  # texts that stand alone as statements
    classes: list[tuple[str, int]] = field(default_factory=list)  # each with its number of lines
    enums: dict[str, set[str]] = field(default_factory=dict)  # its own, each with module-level names of its members
    kept: set[str] = field(default_factory=set)  # names of what is assigned to attributes of ``self``, as it is
    names: Names = field(default_factory=Names)
    functions: list[tuple[str, int]] = field(default_factory=list)  # likewise, with those in others
    silent: list[str] = field(default_factory=list)  # what raises, is public, and does not say so
    orders: list[str] = field(default_factory=list)  # docstrings of public functions that return nothing


@cache
def source(path: Path) -> Source:
    """Gather the facts about a module."""
    tree = ast.parse(path.read_text())
    found = Source(names=names_of(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found.imports.update(alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                found.imports.update((module, *(f"{module}.{alias.name}" for alias in names)))
            case ast.Expr(value=ast.Constant(value=str(text))):
                found.docstrings.append(text)
            case ast.ClassDef(name=name, bases=bases):
                found.classes.append((name, (node.end_lineno or 0) - node.lineno + 1))
                if any("Enum" in ast.unparse(base) for base in bases):
                    found.enums.setdefault(name, set())
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.functions.append((name, (node.end_lineno or 0) - node.lineno + 1))
                text = ast.get_docstring(node)
                if text and not name.startswith("_") and node.returns and ast.unparse(node.returns) == "None":
                    found.orders.append(text)
            case ast.Assign(targets=[ast.Tuple(elts=members)], value=ast.Name(id=name)) if name in found.enums:
                found.enums[name].update(ast.unparse(member) for member in members)
            case ast.Assign(targets=[target], value=value):
                found.kept.update(_kept(target, value))
            case ast.AnnAssign(value=ast.Call(func=ast.Name(id="field"), keywords=keywords)):
                found.kept.update(_first(each.value) for each in keywords if each.arg == "default")
    found.silent.extend(_silent(tree, ""))
    return found


def _kept(target: ast.expr, value: ast.expr) -> Iterator[str]:
    match target, value:
        case ast.Tuple(elts=targets), ast.Tuple(elts=values):
            for one, its in zip(targets, values, strict=False):
                yield from _kept(one, its)
        case ast.Attribute(value=ast.Name(id="self")), ast.IfExp(body=one, orelse=other):
            yield from (_first(one), _first(other))
        case ast.Attribute(value=ast.Name(id="self")), _:
            yield _first(value)


def _first(value: ast.expr) -> str:
    """The name, or the one that an attribute is of."""
    return ast.unparse(value.value if isinstance(value, ast.Attribute) else value)


def _silent(owner: ast.Module | ast.ClassDef, told: str) -> Iterator[str]:
    """Public functions and constructors of ``owner`` that raise and do not say so. ``told`` is its own docstring.

    A method without a docstring is described by a protocol or a base class, and a command's is read by people.
    """
    for node in owner.body:
        match node:
            case ast.ClassDef(name=name) if not name.startswith("_"):
                yield from _silent(node, ast.get_docstring(node) or "")
            case ast.FunctionDef(name="__init__"):
                if _raises(node) and not _SAYS.search(told + (ast.get_docstring(node) or "")):
                    yield f"{node.lineno}: __init__"
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not name.startswith("_"):
                said = ast.get_docstring(node)
                if said and not _SAYS.search(said) and _raises(node) and not _is_command(node):
                    yield f"{node.lineno}: {name}"


def _raises(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether an error is made in the function itself, other than of what nobody may do."""
    inner = [node for node in ast.walk(function) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)][1:]
    theirs = {id(node) for each in inner for node in ast.walk(each)}
    raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and id(node) not in theirs]
    return any(exc is not None and "NotImplementedError" not in ast.unparse(exc) for exc in raised)


def _is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(".command" in ast.unparse(each) for each in function.decorator_list)


def modules(*folders: str) -> list[Path]:
    """The modules below these folders, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
