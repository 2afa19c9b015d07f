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


def test_the_request_of_rfc_5769() -> None:
    """Its section 2.1."""
    request = BindingRequest.parse(
        b"\x00\x01\x00\x58\x21\x12\xa4\x42"  # Binding request, 88 bytes; magic cookie
        b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"  # transaction
        b"\x80\x22\x00\x10STUN test client"  # SOFTWARE
        b"\x00\x24\x00\x04\x6e\x00\x01\xff"  # PRIORITY
        b"\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36"  # ICE-CONTROLLED
        b"\x00\x06\x00\x09evtj:h6vY   "  # USERNAME, and three bytes of padding
        b"\x00\x08\x00\x14"  # MESSAGE-INTEGRITY
        b"\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2"
        b"\x80\x28\x00\x04\xe5\x7a\x3b\xcf"  # FINGERPRINT
    )
    assert request.transaction == bytes.fromhex("b7e7a701bc34d686fa87dfae")
    assert (request.local_ufrag, request.remote_ufrag) == ("evtj", "h6vY")
    assert request.controlled
    assert not request.use_candidate
    assert request.verify(b"VOkJxbRl1RmTxUk/WvJxBt")


def test_the_response_of_rfc_5769() -> None:
    """Its section 2.2."""
    response = BindingResponse.parse(
        b"\x01\x01\x00\x3c\x21\x12\xa4\x42"  # success, 60 bytes; magic cookie
        b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"  # transaction
        b"\x80\x22\x00\x0btest vector "  # SOFTWARE, and a byte of padding
        b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"  # XOR-MAPPED-ADDRESS: 192.0.2.1, port 32853
        b"\x00\x08\x00\x14"  # MESSAGE-INTEGRITY
        b"\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7"
        b"\x80\x28\x00\x04\xc0\x7d\x4c\x96"  # FINGERPRINT
    )
    assert response.transaction == bytes.fromhex("b7e7a701bc34d686fa87dfae")
    assert response.verify(b"VOkJxbRl1RmTxUk/WvJxBt")


def test_a_response_of_ours_byte_by_byte() -> None:
    """The addresses of RFC 5769 2.2 and 2.3, without the optional SOFTWARE."""
    transaction = bytes.fromhex("b7e7a701bc34d686fa87dfae")
    assert binding_success(transaction, PASSWORD, "192.0.2.1", 32_853)[:32] == (
        b"\x01\x01\x00\x2c\x21\x12\xa4\x42"
        b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
        b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"
    )
    assert binding_success(transaction, PASSWORD, "2001:db8:1234:5678:11:2233:4455:6677", 32_853)[20:44] == (
        b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9"
    )


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


@pytest.mark.parametrize("size", [320, 1_200])
def test_a_check_of_a_size_is_understood_by_another_implementation(size: int) -> None:
    padded = binding_request(bytes(12), "theirs:ours", bytes(8), PASSWORD, size=size)
    assert len(padded) == size
    assert BindingRequest.parse(padded).verify(PASSWORD)
    message = aioice_stun.parse_message(padded)
    assert message.check_message_integrity(PASSWORD)
    assert message.attributes["USERNAME"] == "theirs:ours"


def test_a_check_is_never_smaller_than_it_has_to_be() -> None:
    bare = binding_request(bytes(12), "theirs:ours", bytes(8), PASSWORD)
    for size in range(0, len(bare) + 4, 4):
        assert binding_request(bytes(12), "theirs:ours", bytes(8), PASSWORD, size=size) == bare
    assert len(binding_request(bytes(12), "theirs:ours", bytes(8), PASSWORD, size=len(bare) + 4)) == len(bare) + 4
