"""A symmetric NAT on the wire between two hosts (RFC 3489 5: another port of its own for each destination); pure.

UDP over IPv4 alone: of a packet that goes out the source port is another one for each remote address and port, and only
what comes from there to that port is let in again. The address stays, as the router has no other on this wire. UDP over
IPv6 does not pass.
"""

from __future__ import annotations

import struct

UDP = 17  # IP protocol
FIRST_PORT = 40_000  # of those that it gives out

Flow = tuple[int, bytes, int]  # port inside, remote address and port


class SymmetricNat:
    """The ports that it has given out. It forgets none: a test is short."""

    def __init__(self) -> None:
        self._outside: dict[Flow, int] = {}
        self._inside: dict[int, Flow] = {}

    def out(self, packet: bytes) -> bytes | None:
        """A UDP packet on its way out, as it is on the other side; ``None`` if it does not pass."""
        if (at := _udp_header(packet)) is None:
            return None
        source, destination = struct.unpack_from("!HH", packet, at)
        flow = source, packet[16:20], destination
        port = self._outside.setdefault(flow, FIRST_PORT + len(self._outside))
        self._inside[port] = flow
        return _with_port(packet, at, port)

    def back(self, packet: bytes) -> bytes | None:
        """A UDP packet on its way in, as it is on this side; ``None`` if nobody here has sent anything there."""
        if (at := _udp_header(packet)) is None:
            return None
        source, destination = struct.unpack_from("!HH", packet, at)
        port, remote, remote_port = self._inside.get(destination, (0, b"", 0))
        if (remote, remote_port) != (packet[12:16], source):
            return None
        return _with_port(packet, at + 2, port)


def _udp_header(packet: bytes) -> int | None:
    """Where the UDP header begins, in a packet that is no fragment of another."""
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != UDP or struct.unpack_from("!H", packet, 6)[0] & 0x3FFF:
        return None
    at = (packet[0] & 15) * 4
    return at if len(packet) >= at + 8 else None


def _with_port(packet: bytes, place: int, port: int) -> bytes:
    """The packet with this port, and the checksum mended (RFC 1624 3)."""
    at = (packet[0] & 15) * 4
    (before,), (checksum,) = struct.unpack_from("!H", packet, place), struct.unpack_from("!H", packet, at + 6)
    if checksum:  # RFC 768: none was made where it is zero
        total = (~checksum & 0xFFFF) + (~before & 0xFFFF) + port
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        checksum = (~total & 0xFFFF) or 0xFFFF
    changed = bytearray(packet)
    struct.pack_into("!H", changed, place, port)
    struct.pack_into("!H", changed, at + 6, checksum)
    return bytes(changed)
