"""Where frames end: in whatever pieces they come, all bytes are taken, and each message is counted once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.front.frames import MAX_HEAD, MAX_PIECES, Frames
from common.errors import ProtocolError

PING = b"\x89\x80\1\2\3\4"


def frame(first: int, size: int, *, masked: bool = True) -> bytes:
    """A frame of so many bytes (RFC 6455 5.2)."""
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 1 << 16:
        head = bytes((first, bit | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8)
    return head + (b"mask" if masked else b"") + bytes(size)


def test_so_many_frames_are_taken_and_no_more() -> None:
    data = PING * 5 + b"\x89"
    frames = Frames()
    assert frames.take(data, 0) == (0, 0)
    assert frames.take(data, 2) == (12, 2)
    assert frames.take(data[12:], 64) == (18, 3), "a head that has not come whole stays"


def test_a_message_in_pieces_is_one_and_a_ping_between_them_another() -> None:
    first, last = frame(0x01, 3), frame(0x80, 200)
    assert Frames().take(first + PING + last, 64) == (len(first + PING + last), 2)


def test_a_long_frame_is_taken_as_it_comes() -> None:
    data = frame(0x81, 70_000)
    frames = Frames()
    assert frames.take(data[:1_000], 64) == (1_000, 0)
    assert frames.take(data[1_000:] + PING, 1) == (len(data) - 1_000 + 6, 2), "its rest is no frame more"


@given(
    st.lists(st.tuples(st.sampled_from([0x81, 0x82, 0x88, 0x89, 0x8A]), st.sampled_from([0, 5, 125, 126, 70_000]))),
    st.booleans(),
    st.integers(1, 64),
    st.integers(1, 90_000),
)
def test_nothing_is_lost_in_whatever_pieces_it_comes(
    sizes: list[tuple[int, int]], masked: bool, most: int, step: int
) -> None:
    data = b"".join(frame(first, size, masked=masked) for first, size in sizes)
    frames, waiting, messages = Frames(), bytearray(), 0
    for at in range(0, len(data), step):
        waiting += data[at : at + step]
        while True:
            size, ended = frames.take(waiting, most)
            assert ended <= most + 1
            messages += ended
            del waiting[:size]
            if not size:
                break
        assert len(waiting) < MAX_HEAD
    assert not waiting
    assert messages == len(sizes)


def test_a_message_in_too_many_pieces_is_an_error() -> None:
    whole = Frames()
    for _ in range(3):  # counted for each message
        pieces = b"\1\0" + b"\0\0" * (MAX_PIECES - 2) + b"\x80\0"
        assert whole.take(pieces, MAX_PIECES) == (len(pieces), 1)
    with pytest.raises(ProtocolError, match="pieces"):
        Frames().take(b"\0\0" * (MAX_PIECES + 1), 1 << 20)
