"""Packets among a track's media that wrap it, or are there for receivers that lose some; no I/O.

* RED (RFC 2198): a packet holds the media of its time, and earlier media once more. The first alone is taken.
* ULPFEC (RFC 5109), RTX (RFC 4588) and their like correct losses. They are passed over; where they are numbered along
  with the media, as GStreamer and WebRTC have it, none seems to be missing.

A camera's session description says which payload types they are of.
"""

from __future__ import annotations

from common.errors import ProtocolError
from ingest.sdp import MediaSection

RED = "RED"
CORRECTION = frozenset({"ULPFEC", "PARITYFEC", "FLEXFEC", "FLEXFEC-03", "RTX"})
HEADER = 12  # bytes, RFC 3550 5.1

_MAX_BLOCKS = 32  # of earlier media in a packet; WebRTC sends one or two


def media_of(packet: bytes, section: MediaSection, payload_type: int) -> bytes | None:
    """The media that a packet of RED wraps, as a packet of its own; ``None`` for what is neither RED nor correction.

    Correction becomes a packet of the track's ``payload_type`` that is there for its number alone: without a payload.
    Where its source is another than the media's, that counts something else. Raises ``ProtocolError``.
    """
    codec = _codec(section, packet[1] & 0x7F)
    if codec in CORRECTION:
        return _bare(packet, payload_type)
    if codec != RED:
        return None
    try:
        carried, start, at = _primary(packet)
    except IndexError:
        raise ProtocolError("a packet of RED is shorter than it says") from None
    codec = _codec(section, carried)
    if codec == RED:
        raise ProtocolError("a packet of RED wraps another one")
    if codec in CORRECTION:
        return _bare(packet, payload_type)
    return packet[:1] + bytes((packet[1] & 0x80 | carried,)) + packet[2:start] + packet[at:]


def _codec(section: MediaSection, payload_type: int) -> str:
    return next((each.codec.upper() for each in section.formats if each.payload_type == payload_type), "")


def _bare(packet: bytes, payload_type: int) -> bytes:
    """A packet of that number and time without sources, extension, marker and payload."""
    return bytes((0x80, payload_type)) + packet[2:HEADER]


def _primary(packet: bytes) -> tuple[int, int, int]:
    """The payload type of the media of its time in a packet of RED; where the payload begins, and where that media.

    Raises ``IndexError`` where it is shorter than it says.
    """
    start = HEADER + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:  # RFC 3550 5.3.1
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
    at, earlier = start, 0
    for _ in range(_MAX_BLOCKS):
        if not packet[at] & 0x80:  # RFC 2198 3: the last header, of one byte
            if at + 1 + earlier > len(packet):
                break
            return packet[at] & 0x7F, start, at + 1 + earlier
        earlier += (packet[at + 2] & 0x03) << 8 | packet[at + 3]
        at += 4
    raise IndexError
