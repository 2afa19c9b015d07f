"""Supplemental information says whether a picture is to be turned, and hostile bytes say nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.payload.supplemental import messages, orientation, turns


@pytest.mark.parametrize(
    ("nal", "header", "expected"),
    [
        ("062f0308000980", 1, True),
        ("060501aa2f0310000980", 1, True),  # behind another message, of 180 degrees
        ("4e012f0320000980", 2, True),  # mirrored from top to bottom
        ("062f0300000980", 1, False),
        ("062f01c080", 1, False),
        ("06052f80", 1, None),  # a message of 47 bytes that is cut short
        ("0605022f2f80", 1, None),
        ("06", 1, None),
        ("062f", 1, None),
    ],
)
def test_turns(nal: str, header: int, expected: bool | None) -> None:
    assert turns(bytes.fromhex(nal), header) is expected


@pytest.mark.parametrize(
    ("nal", "header", "alone"),
    [
        ("060501aa2f0310000980", 1, "062f0310000980"),
        ("4e012f0320000980", 2, "4e012f0320000980"),
        ("062f0520000003010080", 1, "062f0520000003010080"),  # escaped, as it came
        ("0605022f2f80", 1, ""),
        ("062f002f0308000980", 1, "062f0308000980"),  # behind one that is empty, and says nothing
    ],
)
def test_an_orientation_by_itself(nal: str, header: int, alone: str) -> None:
    assert orientation(bytes.fromhex(nal), header).hex() == alone


def test_types_and_sizes_beyond_255() -> None:
    assert list(messages(b"\xff\x01\xff\x2d" + b"a" * 300 + b"\x05\x01b")) == [(256, b"a" * 300), (5, b"b")]


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    assert sum(len(payload) for _, payload in messages(data)) <= len(data)
    said = turns(data, 1)
    assert said is None or turns(orientation(data, 1), 1) is said
