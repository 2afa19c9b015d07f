"""Text for a terminal: aligned as a terminal shows it, and nothing in it does anything to that."""

from __future__ import annotations

import pytest

from camshaft.table import table, tell


def test_columns_are_aligned_by_what_a_terminal_takes_for_a_letter() -> None:
    assert table([("Küche", "a"), ("玄関", "b"), ("e\u0301", "c")]) == ["Küche  a", "玄関   b", "e\u0301      c"]


def test_what_strangers_say_is_read_and_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tell(table([("a\x1b[2Jb", "c\nd"), ("\x9b31m", "e")]))
    tell([ValueError("no\x1b]0;title\x07\r\nyes")], err=True)
    said = capsys.readouterr()
    assert said.out == "a\\x1b[2Jb  c\\nd\n\\x9b31m    e\n"
    assert said.err == "no\\x1b]0;title\\x07\\r\\nyes\n"
