from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from egress.wire.framing import MAX_FRAME, Deframer, framed

DATAGRAMS = st.lists(st.binary(min_size=1, max_size=MAX_FRAME), max_size=8)


@given(DATAGRAMS, st.integers(1, 3_000))
def test_what_was_framed_comes_out_however_it_is_cut(datagrams: list[bytes], size: int) -> None:
    data, deframer = b"".join(map(framed, datagrams)), Deframer()
    found = [each for at in range(0, len(data), size) for each in deframer.feed(data[at : at + size])]
    assert found == datagrams


def test_byte_by_byte() -> None:
    deframer = Deframer()
    assert [each for byte in framed(b"hello") + framed(b"you") for each in deframer.feed(bytes([byte]))] == [
        b"hello",
        b"you",
    ]


def test_datagrams_of_no_length_are_ignored() -> None:
    assert Deframer().feed(b"\0\0" + framed(b"x") + b"\0\0") == [b"x"]


@pytest.mark.parametrize("data", [b"\xff\xff", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x08\x01"])
def test_a_length_that_no_datagram_has_ends_it(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Deframer().feed(data)


@given(st.binary(max_size=5_000))
def test_any_bytes_give_datagrams_or_the_error(data: bytes) -> None:
    try:
        found = Deframer().feed(data)
    except ProtocolError:
        return
    assert all(0 < len(each) <= MAX_FRAME for each in found)
    assert data.startswith(b"".join(map(framed, found))) or b"\0\0" in data
