import hmac
import struct
import zlib

import pytest
from aioice import stun as aioice_stun
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from egress.wire.stun import BindingRequest, BindingResponse, binding_error, binding_request, binding_success, kind_of

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


def test_a_foreign_agent_understands_our_check() -> None:
    data = binding_request(b"t" * 12, "theirs:ours", b"12345678", PASSWORD)
    message = aioice_stun.parse_message(data)
    message.check_message_integrity(PASSWORD)
    assert message.message_class is aioice_stun.Class.REQUEST
    assert message.attributes["USERNAME"] == "theirs:ours"
    assert message.attributes["ICE-CONTROLLED"] == int.from_bytes(b"12345678", "big")
    assert "USE-CANDIDATE" not in message.attributes


def response(kind: aioice_stun.Class = aioice_stun.Class.RESPONSE) -> bytes:
    message = aioice_stun.Message(aioice_stun.Method.BINDING, kind, transaction_id=b"t" * 12)
    message.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.1", 9)
    message.add_message_integrity(PASSWORD)
    message.add_fingerprint()
    return bytes(message)


@pytest.mark.parametrize("kind", [aioice_stun.Class.RESPONSE, aioice_stun.Class.ERROR])
def test_parses_a_foreign_answer(kind: aioice_stun.Class) -> None:
    parsed = BindingResponse.parse(response(kind))
    assert parsed.transaction == b"t" * 12
    assert parsed.verify(PASSWORD)
    assert not parsed.verify(b"another password")
    tampered = bytearray(response(kind))
    tampered[30] ^= 1
    assert not BindingResponse.parse(bytes(tampered)).verify(PASSWORD)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        response()[:19],
        response()[:-1],
        response()[:20],
        check(),
        response()[:2] + b"\0\0" + response()[4:20],
        response()[:20] + b"\0\x08\0\x04" + response()[24:],
    ],
    ids=["nothing", "a byte less", "cut short", "header alone", "a request", "no length", "a short address"],
)
def test_what_is_no_answer_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        BindingResponse.parse(data)


@given(st.binary(max_size=100))
def test_garbage_is_no_answer(data: bytes) -> None:
    for garbage in (data, response()[:20] + data, response()[:2] + len(data).to_bytes(2, "big") + data):
        kind_of(garbage)
        with pytest.raises(ProtocolError):
            BindingResponse.parse(garbage)
