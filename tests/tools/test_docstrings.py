"""Docstrings stand alone, as help() and editors show them."""

from __future__ import annotations

import re

import pytest

from tests.fakes.sources import PACKAGES, ROOT, modules, source

pytestmark = pytest.mark.xdist_group("sources")

LEANS_IN_HELP = re.compile(
    r"(Its|That|Those|These|Such|Also|So|Then|It|They|Others)\b"  # of what?
    r"|The same(,|\.| (of|for|with|without|in)\b)"
    r"|(A|An|One) [\w-]+'s[.,;]"  # "One session's.": its what?
    r"|For (reports|tables)\b"
    r"|This process\b|Another (stream|source) begins\b|(Some|No)body (takes|watches)\b"  # news, where an order is meant
)
"""Beginnings that do no harm beside a test, and say nothing in ``help()``."""
NEWS = re.compile(
    r"(A|An|The|Some|Nothing|Nobody|Somebody|One|Another|There|This|Each|Every|It|All|More|By|As|In|From|Now)\b"
)
"""Beginnings that say what has happened, where an order says what the function does about it."""
LEANS = re.compile(r"(What|Who|Whose|Whatever|Whoever|And|Of|But|Or|The opposite)\b")
"""Beginnings of sentences that lean on the one before, or make the reader wait for the subject."""


@pytest.mark.thorough
def test_no_docstring_begins_with_another_subject_than_its_own() -> None:
    texts = ((path, text) for path in modules(*PACKAGES, "tests") for text in source(path).docstrings)
    found = [f"{path.relative_to(ROOT)}: {text}" for path, text in texts if LEANS.match(text)]
    assert found == []


def test_a_docstring_of_the_product_stands_alone() -> None:
    texts = ((path, text) for path in modules(*PACKAGES) for text in source(path).docstrings)
    assert [f"{path.relative_to(ROOT)}: {text}" for path, text in texts if LEANS_IN_HELP.match(text)] == []


def test_the_docstring_of_what_returns_nothing_is_an_order() -> None:
    texts = ((path, text) for path in modules(*PACKAGES) for text in source(path).orders)
    found = [f"{path.relative_to(ROOT)}: {text.splitlines()[0]}" for path, text in texts if NEWS.match(text)]
    assert found == []


def test_a_public_function_that_raises_says_so() -> None:
    assert [f"{path.relative_to(ROOT)}:{each}" for path in modules(*PACKAGES) for each in source(path).silent] == []
