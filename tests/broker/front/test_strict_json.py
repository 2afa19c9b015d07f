"""JSON as strangers send it: read in proportion to its length, or refused with the reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.front.strict_json import parse_json
from tests.fakes.cost import assert_linear


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not JSON (line 1, column 1)"),
        ("{'a': 1}", "is not JSON (line 1, column 2)"),
        ("[NaN]", "holds NaN, which is not JSON"),
        ("[-Infinity]", "holds -Infinity, which is not JSON"),
        ('{"a": 1, "b": 2, "a": 3}', 'has the key "a" twice'),
        ('[{"\\ud800": 1, "\\ud800": 2}]', 'has the key "\\ud800" twice'),
        ("9" * 5_000, "holds a number that is too long"),
        ("[" * 50_000, "is nested too deeply"),
        ('{"a":' * 10_000, "is nested too deeply"),
    ],
    ids=lambda text: text[:24],
)
def test_what_is_refused_and_why(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_json(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("piece", ["[", '{"a":', "{},", '"', "9", "1.5,", "\\", " "])
def test_the_time_is_in_proportion_to_the_text(piece: str) -> None:
    assert_linear(parse_json, piece)
    assert_linear(lambda text: parse_json(f"[{text}0]"), piece)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_any_json_is_read_as_it_was_written(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
