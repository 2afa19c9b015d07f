"""STUN messages as ICE uses them (RFC 8489, RFC 8445): binding requests and responses with short-term credentials."""

from __future__ import annotations

import hmac
import ipaddress
import os
import struct
import zlib
from dataclasses import dataclass, field

REQUEST, RESPONSE, ERROR = 0x0001, 0x0101, 0x0111
COOKIE = 0x2112A442

USERNAME, MESSAGE_INTEGRITY, XOR_MAPPED_ADDRESS = 0x0006, 0x0008, 0x0020
PRIORITY, USE_CANDIDATE, FINGERPRINT = 0x0024, 0x0025, 0x8028
ICE_CONTROLLED, ICE_CONTROLLING = 0x8029, 0x802A

_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")


class StunError(ValueError):
    """Bytes that are no STUN message, or one whose integrity fails."""


@dataclass(slots=True)
class Message:
    """A message and its attributes, without integrity and fingerprint, which ``encode`` adds and ``parse`` checks."""

    kind: int
    transaction: bytes = field(default_factory=lambda: os.urandom(12))
    attributes: dict[int, bytes] = field(default_factory=dict)

    def encode(self, key: bytes) -> bytes:
        """On the wire, with MESSAGE-INTEGRITY by ``key`` and FINGERPRINT."""
        body = b"".join(_attribute(kind, value) for kind, value in self.attributes.items())
        # RFC 8489 14.5: the length in the header covers the attribute that is being computed.
        signed = _HEADER.pack(self.kind, len(body) + 24, COOKIE, self.transaction) + body
        body += _attribute(MESSAGE_INTEGRITY, hmac.digest(key, signed, "sha1"))
        checked = _HEADER.pack(self.kind, len(body) + 8, COOKIE, self.transaction) + body
        return checked + _attribute(FINGERPRINT, struct.pack("!I", zlib.crc32(checked) ^ 0x5354554E))

    @classmethod
    def parse(cls, data: bytes, key: bytes) -> Message:
        """Raises ``StunError`` unless ``data`` is a whole message signed with ``key``."""
        if len(data) < 20:
            raise StunError("shorter than a header")
        kind, length, cookie, transaction = _HEADER.unpack_from(data)
        if kind & 0xC000 or cookie != COOKIE or length != len(data) - 20 or length % 4:
            raise StunError("not a STUN message")
        message = cls(kind, transaction)
        at = 20
        while at < len(data):
            name, size = _ATTRIBUTE.unpack_from(data, at)
            value = data[at + 4 : at + 4 + size]
            if len(value) != size:
                raise StunError("attribute runs past the end")
            if name == MESSAGE_INTEGRITY:
                signed = data[:2] + struct.pack("!H", at + 4) + data[4:at]
                if not hmac.compare_digest(hmac.digest(key, signed, "sha1"), value):
                    raise StunError("integrity check fails")
                return message  # RFC 8489 14.5: what follows it, but FINGERPRINT, is ignored
            message.attributes[name] = value
            at += 4 + size + (-size % 4)
        raise StunError("no integrity")


def transaction_of(data: bytes) -> bytes:
    """The transaction id of what looks like a STUN message."""
    return data[8:20]


def xor_address(address: tuple[str, int], transaction: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS for IPv4 or IPv6 (RFC 8489 14.2)."""
    host = ipaddress.ip_address(address[0].partition("%")[0])
    port = address[1] ^ (COOKIE >> 16)
    mask = COOKIE.to_bytes(4, "big") + transaction
    packed = bytes(a ^ b for a, b in zip(host.packed, mask, strict=False))
    return struct.pack("!xBH", 1 if host.version == 4 else 2, port) + packed


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)
