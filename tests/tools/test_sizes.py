"""No class grows beyond what a reader holds in mind."""

from __future__ import annotations

import pytest

from tests.fakes.sources import PACKAGES, ROOT, modules, source

pytestmark = pytest.mark.xdist_group("sources")

MOST = 220  # lines


def test_no_class_has_more_lines_than_a_reader_holds_in_mind() -> None:
    lengths = {
        (str(path.relative_to(ROOT)), name): lines
        for path in modules(*PACKAGES)
        for name, lines in source(path).classes
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST} == {}
