from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from common.handover import Doors, Handover
from common.sessions import SessionName

WHOLE = Handover(SessionName("secret"), "192.0.2.1:9", b"HTTP/1.1 101 Switching Protocols\r\n\r\n")


def test_it_arrives_as_it_was_sent() -> None:
    assert Handover.parse(bytes(WHOLE)) == WHOLE
    assert "Switching" not in repr(WHOLE)


@pytest.mark.parametrize("data", [b"", b"\xc1", msgpack.packb([]), msgpack.packb({"session": 1}), bytes(WHOLE)[:-1]])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Handover.parse(data)


def test_doors_arrive_as_they_were_told() -> None:
    doors = Doors("@name", (("192.0.2.1", 8189), ("2001:db8::1", 8189)), "ab" * 32)
    assert Doors.parse(str(doors)) == doors


@pytest.mark.parametrize(
    "text",
    [
        *("", "answer of v=0", "[]", "{}", '{"local": "", "remote": [["192.0.2.1"]], "fingerprint": ""}'),
        '{"local": "", "remote": [["a..name", 1]], "fingerprint": ""}',
        '{"local": "@\\ud800", "remote": [], "fingerprint": ""}',
        '{"local": "", "remote": [], "fingerprint": "\\u00e9"}',
    ],
)
def test_what_is_no_doors_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        Doors.parse(text)


def test_a_port_that_is_none_is_left_out() -> None:
    assert Doors.parse('{"local": "", "remote": [["::1", 0], ["192.0.2.1", 70000]], "fingerprint": ""}') == Doors()


@given(st.binary(max_size=100))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Handover.parse(data)
