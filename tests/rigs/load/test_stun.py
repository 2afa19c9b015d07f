from __future__ import annotations

import struct

import pytest
from aioice import stun as foreign
from hypothesis import given
from hypothesis import strategies as st

from rigs.load import stun
from rigs.load.stun import Message, StunError

KEY = b"a password"


def request() -> Message:
    message = Message(stun.REQUEST, bytes(12))
    message.attributes[stun.USERNAME] = b"them:us"
    message.attributes[stun.USE_CANDIDATE] = b""
    return message


def test_comes_back_as_it_was() -> None:
    assert Message.parse(request().encode(KEY), KEY) == request()


def test_a_foreign_implementation_reads_it() -> None:
    parsed = foreign.parse_message(request().encode(KEY))
    parsed.check_message_integrity(KEY)
    assert parsed.attributes["USERNAME"] == "them:us"
    assert "FINGERPRINT" in parsed.attributes  # and right, or it would not have parsed


def test_a_foreign_message_is_read() -> None:
    message = foreign.Message(foreign.Method.BINDING, foreign.Class.REQUEST)
    message.attributes["USERNAME"] = "us:them"
    message.attributes["PRIORITY"] = 7
    message.add_message_integrity(KEY)
    message.add_fingerprint()
    parsed = Message.parse(bytes(message), KEY)
    assert parsed.attributes[stun.USERNAME] == b"us:them"
    assert parsed.transaction == message.transaction_id


@pytest.mark.parametrize("address", [("192.0.2.1", 1234), ("2001:db8::1", 65_535)])
def test_xor_address(address: tuple[str, int]) -> None:
    message = Message(stun.RESPONSE, bytes(range(12)))
    message.attributes[stun.XOR_MAPPED_ADDRESS] = stun.xor_address(address, message.transaction)
    parsed = foreign.parse_message(message.encode(KEY))
    assert parsed.attributes["XOR-MAPPED-ADDRESS"] == address


def test_the_wrong_key_is_refused() -> None:
    with pytest.raises(StunError, match="integrity"):
        Message.parse(request().encode(KEY), b"another")


def test_a_message_without_integrity_is_refused() -> None:
    with pytest.raises(StunError, match="no integrity"):
        Message.parse(struct.pack("!HHI12s", stun.REQUEST, 0, stun.COOKIE, bytes(12)), KEY)


@given(st.data())
def test_a_damaged_message_is_never_taken(data: st.DataObject) -> None:
    encoded = bytearray(request().encode(KEY))
    covered = len(encoded) - 8  # FINGERPRINT comes after what is signed
    at = data.draw(st.integers(0, covered - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StunError):
        Message.parse(bytes(encoded), KEY)


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(StunError):
        Message.parse(garbage, KEY)
