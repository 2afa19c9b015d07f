"""Each place where mypy is told to look away says why, or is of a kind that docs/style.md names."""

from __future__ import annotations

import re

from tests.fakes.sources import PACKAGES, ROOT, modules

PLAIN = {
    "arg-type",  # these five: a fake, or a wrong value on purpose, stands for what is asked for
    "assignment",
    "method-assign",
    "list-item",
    "dict-item",
    "union-attr",  # these two: the test knows that something is there
    "operator",
}
IGNORE = re.compile(r"# type: ignore(?:\[(?P<codes>[a-z, -]+)\])?(?P<reason>  ?# \S)?")


def unexplained(line: str, *, test: bool) -> bool:
    """Whether a line has none of a reason."""
    found = IGNORE.search(line)
    if found is None or (found["codes"] and found["reason"]):
        return False
    codes = set((found["codes"] or "?").split(", "))
    if "lambda" in line:  # mypy infers none that has a default
        codes.discard("misc")
    return not test or bool(codes - PLAIN)


def test_each_says_why() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in (*PACKAGES, "tests")
        for path in modules(folder)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "type: ignore" in line and unexplained(line, test=folder == "tests")
    ]
    assert [each for each in found if not each.startswith("tests/tools/test_ignores.py:")] == []


def test_the_rule_names_the_kinds_that_need_no_reason() -> None:
    rule = (ROOT / "docs/style.md").read_text().partition("`# type: ignore` without its reason")[2]
    assert {*re.findall(r"`([a-z-]+)`", rule)} == {*PLAIN, "misc"}


def test_a_reason_is_a_comment_behind_the_code() -> None:
    assert unexplained("x = 1  # type: ignore", test=True)
    assert unexplained("x = 1  # type: ignore[override]", test=True)
    assert unexplained("x = 1  # type: ignore[arg-type]", test=False)
    assert not unexplained("x = 1  # type: ignore[override]  # it is so", test=False)
    assert not unexplained("x = 1  # type: ignore[arg-type]", test=True)
