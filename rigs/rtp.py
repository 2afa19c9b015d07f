"""RTP packets as a camera makes them."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from rigs.video import Packet


def rtp(
    payload: bytes,
    sequence: int,
    timestamp: int,
    *,
    payload_type: int = 96,
    ssrc: int = 0x1234,
    marker: bool = False,
    first: int = 0x80,
) -> bytes:
    """One packet (RFC 3550 5.1)."""
    second = marker << 7 | payload_type
    return struct.pack("!BBHII", first, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def rtp_all(packets: Iterable[Packet], *, sequence: int = 0, payload_type: int = 96, ssrc: int = 0x1234) -> list[bytes]:
    """Packets of one source, numbered."""
    return [
        rtp(packet.payload, number, packet.timestamp, payload_type=payload_type, ssrc=ssrc, marker=packet.marker)
        for number, packet in enumerate(packets, sequence)
    ]


def sender_report(ssrc: int, ntp: int, timestamp: int) -> bytes:
    """The shortest there is (RFC 3550 6.4.1)."""
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, ntp, timestamp & 0xFFFFFFFF, 0, 0)


def goodbye(ssrc: int) -> bytes:
    """RFC 3550 6.6."""
    return struct.pack("!BBHI", 0x81, 203, 1, ssrc)
