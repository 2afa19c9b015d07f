from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.yaml_loader import Loader


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "{a: rtsp://h/live?x=1, b: [rtsp://h/1?y, rtsp://h/2?z=3&u]}",
            {"a": "rtsp://h/live?x=1", "b": ["rtsp://h/1?y", "rtsp://h/2?z=3&u"]},
        ),
        ("[a?, b??c?d, ?e]", ["a?", "b??c?d", {"e": None}]),
        ("{? a : b}", {"a": "b"}),
        ("{a?b: c}", {"a?b": "c"}),
        ("[a ? b]", None),
        ("a: rtsp://h/live?x=1 # y", {"a": "rtsp://h/live?x=1"}),
    ],
)
def test_a_question_mark_in_a_text_between_brackets_is_of_the_text(text: str, value: object) -> None:
    if value is None:
        with pytest.raises(yaml.YAMLError):
            yaml.load(text, Loader)
    else:
        assert yaml.load(text, Loader) == value


@given(st.text("ab?:, []{}#\n-'&", max_size=30))
def test_what_the_usual_loader_reads_is_read_the_same(text: str) -> None:
    try:
        usual = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError):
        return
    assert yaml.load(text, Loader) == usual


@pytest.mark.parametrize("number", ["1:" * 200_000 + "1", "0x" + "f" * 200_000, "9" * 200_000])
def test_a_number_that_is_longer_than_any_is_not_worked_out(number: str) -> None:
    """The first took a time that grew with the square of its length: at the most that is read, an hour."""
    assert yaml.load("[1:30, 0x10, -7]", Loader) == [90, 16, -7]
    with pytest.raises(ValueError, match="too long"):
        yaml.load(f"a: {number}", Loader)
