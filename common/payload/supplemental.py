"""Supplemental enhancement information (SEI) of H.264 and H.265 (annex D of both), as much as matters here; no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator

RECOVERY_POINT, DISPLAY_ORIENTATION = 6, 47  # payloadType, of both codecs

_FF_BYTES = re.compile(rb"\xff*")
_EMULATED = re.compile(rb"\0\0(?=[\0-\3])")  # before it stands an emulation_prevention_three_byte: H.264 7.4.1
_MAX_ORIENTATION = 16  # bytes: flags, an angle, and how long it holds are seven at most
_MAX_MESSAGES = 32  # of one NAL unit that are looked at; encoders send one to four


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each message, from what stands behind a NAL unit's header, without emulation prevention.

    The last payload may be cut short.
    """
    position = 0
    for _ in range(_MAX_MESSAGES):
        values = []
        for _ in range(2):  # payloadType, payloadSize: H.264 7.3.2.3.1, H.265 7.3.5
            more = _FF_BYTES.match(data, position)
            count = len(more[0]) if more else 0
            position += count
            if position >= len(data):
                return
            values.append(255 * count + data[position])
            position += 1
        kind, size = values
        yield kind, data[position : position + size]
        position += size


def turns(nal: bytes, header: int) -> bool | None:
    """Whether pictures are to be turned or mirrored before they are shown (H.264 D.1.27, H.265 D.2.17); ``None`` where
    nothing is said. ``header`` is the size of the NAL unit's, in bytes."""
    if DISPLAY_ORIENTATION not in nal:  # nearly all: nothing else is done for each picture
        return None
    for kind, payload in messages(nal[header:].replace(b"\0\0\3", b"\0\0")):
        if kind == DISPLAY_ORIENTATION and payload:  # a flag that cancels it; two mirrors, and the angle
            return payload[0] < 0x80 and int.from_bytes(payload[:3].ljust(3, b"\0")) >> 5 > 0
    return None


def orientation(nal: bytes, header: int) -> bytes:
    """A NAL unit that says what ``nal`` says of how pictures are turned, and nothing else; empty where it says nothing.

    ``header`` is the size of the NAL unit's, in bytes.
    """
    for kind, payload in messages(nal[header:].replace(b"\0\0\3", b"\0\0")):
        if kind == DISPLAY_ORIENTATION and payload:
            payload = payload[:_MAX_ORIENTATION]
            return nal[:header] + _EMULATED.sub(b"\0\0\3", bytes((kind, len(payload))) + payload + b"\x80")
    return b""
