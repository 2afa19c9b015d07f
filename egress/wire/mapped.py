"""The address that a STUN server sees us at (RFC 8489 2): the request that asks for it, and its answer; pure."""

from __future__ import annotations

import ipaddress
import struct

from common.errors import ProtocolError
from egress.wire.stun import BINDING_REQUEST, BINDING_SUCCESS, HEADER_SIZE, MAGIC_COOKIE, XOR_MAPPED_ADDRESS

_header = struct.Struct("!HHI12s")
_attribute = struct.Struct("!HH")
_COOKIE = MAGIC_COOKIE.to_bytes(4, "big")
_SIZES = {1: 4, 2: 16}  # bytes of an address by its family (RFC 8489 14.1)


def mapping_request(transaction: bytes) -> bytes:
    """A Binding request without credentials: public servers know none."""
    return _header.pack(BINDING_REQUEST, 0, MAGIC_COOKIE, transaction)


def mapped_address(data: bytes, transaction: bytes) -> str:
    """The address in the answer to that request. Raises ``ProtocolError`` if this is none, or names none."""
    if len(data) < HEADER_SIZE or data[:2] != BINDING_SUCCESS.to_bytes(2, "big"):
        raise ProtocolError("not a success")
    _, length, cookie, answered = _header.unpack_from(data)
    if cookie != MAGIC_COOKIE or answered != transaction or length != len(data) - HEADER_SIZE:
        raise ProtocolError("not the answer to this request")
    at = HEADER_SIZE
    while at + _attribute.size <= len(data):
        name, size = _attribute.unpack_from(data, at)
        value = data[at + _attribute.size : at + _attribute.size + size]
        if name == XOR_MAPPED_ADDRESS:
            return _address(value, transaction)
        at += _attribute.size + (size + 3 & ~3)
    raise ProtocolError("no XOR-MAPPED-ADDRESS")


def _address(value: bytes, transaction: bytes) -> str:
    """RFC 8489 14.2."""
    size = _SIZES.get(value[1]) if len(value) > 1 else None
    if size is None or len(value) != 4 + size:
        raise ProtocolError("XOR-MAPPED-ADDRESS is no address")
    mask = (_COOKIE + transaction)[:size]
    return str(ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], mask, strict=True))))
