from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.access import covers, matches
from common.cameras import CameraName
from tests.fakes.cost import assert_cheap

TEXTS = st.text("ab", max_size=8)
PATTERNS = st.text("ab*?", max_size=8)


@given(TEXTS, PATTERNS)
def test_a_pattern_is_for_the_names_that_shells_take_it_for(name: str, pattern: str) -> None:
    assert matches(name, pattern) == fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("name", "pattern", "alike"),
    [
        ("door", "door", True),
        ("door", "doo", False),
        ("door", "d?or", True),
        ("door", "d?r", False),
        ("door", "d*r", True),
        ("door", "d*o", False),
        ("front-door", "*-d*r", True),
        ("front-door", "f*x*r", False),
        ("front-door", "f*-?o*r", True),
        ("front-door", "f*?x*r", False),
        ("door", "do*or", True),
        ("dor", "do*or", False),
        ("door", "*", True),
    ],
)
def test_stars_and_question_marks(name: str, pattern: str, alike: bool) -> None:
    assert matches(name, pattern) is alike


def test_a_token_may_have_a_thousand_patterns_that_nobody_has_seen_before() -> None:
    name, new = CameraName("a" * 64), count()
    for piece in ("*a", "?", "*a?", "a*"):

        def read(piece: str = piece) -> None:
            assert not covers([f"{(piece * 31)[:50]}{next(new):010}" for _ in range(1_000)], name)

        assert_cheap(read, 0.05)
