"""No class and no function grows beyond what a reader holds in mind."""

from __future__ import annotations

import re
from operator import attrgetter

import pytest

from tests.fakes.sources import PACKAGES, PRODUCT, ROOT, modules, source

pytestmark = pytest.mark.xdist_group("sources")

MOST = {"classes": 220, "functions": 60}  # lines


@pytest.mark.parametrize(("kind", "folders"), [("classes", PACKAGES), ("functions", PRODUCT)])
def test_nothing_has_more_lines_than_a_reader_holds_in_mind(kind: str, folders: tuple[str, ...]) -> None:
    lengths = {
        (str(path.relative_to(ROOT)), name): lines
        for path in modules(*folders)
        for name, lines in attrgetter(kind)(source(path))
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST[kind]} == {}


def test_the_rule_says_the_same() -> None:
    rule = re.search(r"A function has at most (\d+) lines, a class of a service at most (\d+)", STYLE)
    assert rule is not None
    assert [int(most) for most in rule.groups()] == [MOST["functions"], MOST["classes"]]


STYLE = (ROOT / "docs/style.md").read_text()
