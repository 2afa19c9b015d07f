"""Variables in the values of the file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.substitution import substituted

ENVIRON = {"USER": "admin", "EMPTY": "", "OF_MORE": "${USER}$$"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("no variable", "no variable"),
        ("${USER}", "admin"),
        ("rtsp://${USER}:${PASSWORD:-x}@h/", "rtsp://admin:x@h/"),
        ("${USER:-other}", "admin"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY:-}", ""),
        ("${NONE:-a:-b/c?d=e f}", "a:-b/c?d=e f"),
        ("${NONE:-a$$b}", "a$b"),
        ("$${USER}", "${USER}"),
        ("a$$b$", "a$b$"),
        ("$$$${USER}", "$${USER}"),
        ("$$${USER}", "$admin"),
        ("pa$word$1", "pa$word$1"),
        ("${OF_MORE}", "${USER}$$"),
    ],
)
def test_values_take_the_place_of_variables(text: str, value: str) -> None:
    assert substituted(text, ENVIRON) == value


@pytest.mark.parametrize("text", ["${NONE}", "a ${USER} ${NONE} b", "${EMPTY}"])
def test_a_variable_that_is_not_set_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"the variable (NONE|EMPTY) is not set; set it, or give a default: \$\{"):
        substituted(text, ENVIRON)


@pytest.mark.parametrize(
    "text", ["${", "${}", "${USER", "${1A}", "${USER-x}", "${USER:-{}}", "${ÜBER}", "${NONE:-${USER}}"]
)
def test_what_names_no_variable_is_told_the_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"\$\{NAME\} or \$\{NAME:-default\}.*write \$\$"):
        substituted(text, ENVIRON)


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    assert substituted(text.replace("$", "$$"), {}) == text
