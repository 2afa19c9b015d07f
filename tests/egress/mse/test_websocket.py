from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from egress.mse.websocket import MAX_MESSAGE, Message, Opcode, Reader, close_frame, frame


def masked(first: int, data: bytes, *, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """As a browser sends it."""
    size = bytes((0x80 | len(data),)) if len(data) < 126 else bytes((0xFE,)) + struct.pack(">H", len(data))
    return bytes((first,)) + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "8200"), (125, "827d"), (126, "827e007e"), (65_535, "827effff"), (65_536, "827f0000000000010000")],
)
def test_a_message_says_how_long_it_is(size: int, head: str) -> None:
    assert frame(Opcode.BINARY, bytes(size)) == bytes.fromhex(head) + bytes(size)


def test_parts_are_one_message() -> None:
    assert frame(Opcode.TEXT, b"a", b"bc") == b"\x81\x03abc"


def test_a_farewell_has_a_code_and_a_reason_that_is_not_cut_within_a_character() -> None:
    assert close_frame(1000, "over") == b"\x88\x06\x03\xe8over"
    long = close_frame(1000, "ä" * 100)
    assert len(long) <= 127
    long[4:].decode()


@given(
    st.lists(st.tuples(st.sampled_from([Opcode.TEXT, Opcode.PING, Opcode.PONG]), st.binary(max_size=125)), max_size=8),
    st.data(),
)
def test_messages_are_read_whatever_pieces_they_come_in(
    messages: list[tuple[Opcode, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(masked(0x80 | opcode, content) for opcode, content in messages)
    reader, found = Reader(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == [Message(opcode, content) for opcode, content in messages]


def test_a_long_text_is_read_within_the_limit() -> None:
    text = b"x" * MAX_MESSAGE
    assert Reader().feed(masked(0x81, text)) == [Message(Opcode.TEXT, text)]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x83\x80", "reserved"),
        (b"\xc1\x80", "extension"),
        (b"\x01\x80", "fragments"),
        (b"\x80\x80", "fragments"),
        (b"\x81\x01a", "masked"),
        (b"\x89\xfe\x00\x7e", "control"),
        (b"\x81\xfe\x04\x01", "too long"),
        (b"\x81\xff" + bytes(8), "too long"),
    ],
)
def test_what_the_protocol_does_not_allow_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem):
        Reader().feed(data)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waited_for(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        Reader().feed(data)
