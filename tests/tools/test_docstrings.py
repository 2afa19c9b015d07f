"""Docstrings stand alone, as help() and editors show them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("common", "ingest", "egress", "transcode", "broker", "relay", "camshaft", "rigs", "bench", "tests")
LEANS = re.compile(r"(What|Who|Whose|Whatever|Whoever|And|Of|But|Or|The opposite)\b")
"""Beginnings of sentences that lean on the one before, or make the reader wait for the subject."""


def docstrings(path: Path) -> list[str]:
    """The texts that stand alone in a module as statements."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Expr))
    texts = (node.value.value for node in nodes if isinstance(node.value, ast.Constant))
    return [text for text in texts if isinstance(text, str)]


def test_no_docstring_begins_with_another_subject_than_its_own() -> None:
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    found = [f"{path.relative_to(ROOT)}: {text}" for path in paths for text in docstrings(path) if LEANS.match(text)]
    assert found == []
