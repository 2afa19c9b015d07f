import hmac
import struct
import zlib

import pytest
from aioice import stun as aioice_stun
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from egress.stun import BindingRequest, binding_error, binding_success

PASSWORD = b"a password of 22 chars"


def check(username: str = "ours:theirs", password: bytes = PASSWORD, **attributes: object) -> bytes:
    """A connectivity check as another implementation makes it."""
    message = aioice_stun.Message(aioice_stun.Method.BINDING, aioice_stun.Class.REQUEST)
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 1
    for name, value in attributes.items():
        message.attributes[name.replace("_", "-")] = value
    message.add_message_integrity(password)
    return bytes(message)


def test_parses_a_foreign_check() -> None:
    request = BindingRequest.parse(check(USE_CANDIDATE=None, ICE_CONTROLLING=5))
    assert (request.local_ufrag, request.remote_ufrag) == ("ours", "theirs")
    assert request.use_candidate
    assert not request.controlled
    assert request.verify(PASSWORD)
    assert not request.verify(b"another password")


def test_sees_a_role_conflict() -> None:
    assert BindingRequest.parse(check(ICE_CONTROLLED=5)).controlled


def test_what_follows_the_signature_is_ignored() -> None:
    data = check()
    # USE-CANDIDATE appended after MESSAGE-INTEGRITY and FINGERPRINT: an attacker on the path can do that.
    forged = data + struct.pack("!HH", 0x0025, 0)
    forged = forged[:2] + struct.pack("!H", len(forged) - 20) + forged[4:]
    request = BindingRequest.parse(forged)
    assert not request.use_candidate
    assert request.verify(PASSWORD)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.7", 50_000), ("2001:db8::1", 1), ("fe80::1%eth0", 65_535)])
def test_the_response_is_understood_by_another_implementation(host: str, port: int) -> None:
    transaction = bytes(range(12))
    response = aioice_stun.parse_message(binding_success(transaction, PASSWORD, host, port))
    assert response.check_message_integrity(PASSWORD)
    assert response.message_class is aioice_stun.Class.RESPONSE
    assert response.transaction_id == transaction
    assert response.attributes["XOR-MAPPED-ADDRESS"] == (host.partition("%")[0], port)


def test_an_error_response_is_understood_by_another_implementation() -> None:
    response = aioice_stun.parse_message(binding_error(bytes(12), PASSWORD, 487, "Role Conflict"))
    assert response.check_message_integrity(PASSWORD)
    assert response.message_class is aioice_stun.Class.ERROR
    assert response.attributes["ERROR-CODE"] == (487, "Role Conflict")


def test_no_truncation_parses() -> None:
    data = check()
    for length in range(len(data)):
        with pytest.raises(ProtocolError):
            BindingRequest.parse(data[:length])


def test_an_attribute_that_lies_about_its_length() -> None:
    head = struct.pack("!HHI12s", 1, 8, 0x2112A442, bytes(12))
    with pytest.raises(ProtocolError, match="past the end"):
        BindingRequest.parse(head + struct.pack("!HHI", 0x0006, 5, 0))


def test_unsigned_and_colonless_checks_are_refused() -> None:
    unsigned = struct.pack("!HHI12s", 1, 0, 0x2112A442, bytes(12))
    with pytest.raises(ProtocolError, match="MESSAGE-INTEGRITY"):
        BindingRequest.parse(unsigned)
    with pytest.raises(ProtocolError, match="colon"):
        BindingRequest.parse(check("nobody"))


@given(st.binary(max_size=120))
def test_garbage_never_does_more_than_raise(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        BindingRequest.parse(data)


@given(st.binary(max_size=100))
def test_garbage_behind_a_valid_header_never_does_more_than_raise(body: bytes) -> None:
    body += bytes(-len(body) % 4)
    head = struct.pack("!HHI12s", 1, len(body), 0x2112A442, bytes(12))
    try:
        request = BindingRequest.parse(head + body)
    except ProtocolError:
        return
    assert not request.verify(PASSWORD)


def test_fingerprint_is_the_rfcs() -> None:
    message = binding_success(bytes(12), PASSWORD, "127.0.0.1", 9)
    assert struct.unpack("!I", message[-4:])[0] == zlib.crc32(message[:-8]) ^ 0x5354554E
    signed = message[:2] + struct.pack("!H", len(message) - 20 - 8) + message[4:-32]
    assert hmac.digest(PASSWORD, signed, "sha1") == message[-28:-8]
