from __future__ import annotations

import contextlib

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from egress.wire.mapped import mapped_address, mapping_request

TRANSACTION = bytes(range(12))


def answer(address: tuple[str, int] | None, kind: stun.Class = stun.Class.RESPONSE) -> bytes:
    """A foreign server's answer."""
    message = stun.Message(stun.Method.BINDING, kind, transaction_id=TRANSACTION)
    message.attributes["SOFTWARE"] = "a server"
    if address is not None:
        message.attributes["XOR-MAPPED-ADDRESS"] = address
    message.add_fingerprint()
    return bytes(message)


def test_a_foreign_server_understands_the_request() -> None:
    parsed = stun.parse_message(mapping_request(TRANSACTION))
    assert (parsed.message_method, parsed.message_class) == (stun.Method.BINDING, stun.Class.REQUEST)
    assert parsed.transaction_id == TRANSACTION
    assert not parsed.attributes


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_the_address_is_read_from_the_answer(address: str) -> None:
    assert mapped_address(answer((address, 41_234)), TRANSACTION) == address


@pytest.mark.parametrize(
    "data",
    [
        b"",
        answer(None),
        answer(("203.0.113.7", 1), stun.Class.ERROR),
        answer(("203.0.113.7", 1))[:-1],
        answer(("203.0.113.7", 1)).replace(b"\0\x20\0\x08\0\x01", b"\0\x20\0\x08\0\x03"),
    ],
)
def test_what_is_no_answer_is_told(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        mapped_address(data, TRANSACTION)


def test_the_answer_to_another_request_is_none() -> None:
    with pytest.raises(ProtocolError):
        mapped_address(answer(("203.0.113.7", 1)), bytes(12))


@given(st.binary(max_size=100))
def test_any_bytes_are_an_address_or_the_error(rest: bytes) -> None:
    head = b"\x01\x01" + len(rest).to_bytes(2, "big") + mapping_request(TRANSACTION)[4:]
    with contextlib.suppress(ProtocolError):
        mapped_address(head + rest, TRANSACTION)
