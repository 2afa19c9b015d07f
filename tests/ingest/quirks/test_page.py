"""``docs/cameras.md`` names every behaviour that is tested here, and no test that is not there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "cameras.md"


def behaviours_of(path: Path) -> set[str]:
    parts = ast.parse(path.read_text()).body
    return {part.name for part in parts if isinstance(part, ast.AsyncFunctionDef) and part.name.startswith("test_")}


def test_the_page_names_each_test_and_no_other() -> None:
    tested = {name for path in HERE.glob("test_*.py") for name in behaviours_of(path)}
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    assert sorted(tested - named) == [], "behaviours that docs/cameras.md does not name"
    assert sorted(named - tested) == [], "tests that docs/cameras.md names and that are not there"
