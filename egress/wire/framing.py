"""Datagrams on a byte stream, as ICE-TCP has them (RFC 6544 3): each behind its length (RFC 4571 2); pure."""

from __future__ import annotations

import struct

from common.errors import ProtocolError

PREFIX_SIZE = 2  # bytes
MAX_FRAME = 2_048  # bytes we take of one, as of a UDP datagram: DTLS, STUN and RTCP are all below 1,500

prefix = struct.Struct("!H").pack


def framed(datagram: bytes | memoryview) -> bytes:
    """One datagram behind its length."""
    return prefix(len(datagram)) + datagram


class Deframer:
    """Cuts what comes by one connection into datagrams. Keeps no more than one that is not whole yet."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""  # of a datagram that is not whole

    @property
    def begun(self) -> bool:
        """Whether a part of a datagram has come."""
        return bool(self.rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are whole now; those of no length are ignored.

        Raises ``ProtocolError`` for a length that no datagram to us has: nothing after it can be understood.
        """
        data = self.rest + data
        found, at, end = [], 0, len(data)
        while end - at >= PREFIX_SIZE:
            size = data[at] << 8 | data[at + 1]
            if size > MAX_FRAME:
                raise ProtocolError(f"a datagram of {size} bytes")
            if end - at - PREFIX_SIZE < size:
                break
            at += PREFIX_SIZE + size
            if size:
                found.append(data[at - size : at])
        self.rest = data[at:]
        return found
