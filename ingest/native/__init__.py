"""The compiled shortcut of ingest's hot path, where it was built.

``pictures.c`` takes an ordinary picture, as nearly all are, out of what was read from a camera, and says what is one.
All else goes the way through ``ingest.rtsp.message`` and ``ingest.rtp.receiver``, and so do ordinary pictures where
nothing was built: the same batches come of it, for three times the processor's time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from common.media import MAX_PAYLOAD

try:
    from ingest.native._pictures import ffi, lib
except ImportError:  # no compiler or no headers when Camshaft was installed
    ffi = lib = None

BUILT = lib is not None
NEEDS = "a C compiler and the headers of Python (Debian: gcc python3-dev)"

_START_CODE = b"\0\0\1"
_ROOM = 128 << 10  # bytes: what a connection holds, and headers of all fragments that it becomes


def start_code_at(data: bytes, begin: int, end: int) -> int:
    """The first place from ``begin`` on at which a start code, 00 00 01, stands that ends before ``end``, or -1."""
    if not BUILT:
        return data.find(_START_CODE, begin, end)
    if not 0 <= begin <= (end := min(end, len(data))):
        return -1
    at: int = lib.camshaft_start_code(ffi.from_buffer(data) + begin, end - begin)
    return at + begin if at >= 0 else -1


class Picture(NamedTuple):
    """An ordinary picture."""

    size: int  # bytes that it takes where it stands, with its framing
    packets: int  # RTP packets …
    octets: int  # … and their bytes
    timestamp: int  # as it came
    first: int  # the byte behind the NAL unit header of its first slice
    payloads: list[bytes]  # for viewers


class Pictures:
    """Takes the ordinary pictures of one track. To be made only where it was ``BUILT``."""

    __slots__ = ("_data", "_received", "_track")

    def __init__(self, *, h265: bool) -> None:
        self._track = ffi.new("struct camshaft_track *", {"h265": h265})
        self._received: bytearray | None = None
        self._data: Any = None

    def take(
        self,
        received: bytearray,
        start: int,
        end: int,
        channel: int,
        payload_type: int,
        sequence: int,
        ssrc: int,
        timestamp: int,
    ) -> Picture | None:
        """The picture that begins at ``received[start]`` and ends before ``received[end]``, if it is an ordinary one.

        It comes on an interleaved ``channel``; ``sequence`` is the number that is due, ``timestamp`` that of the
        picture before, both as they are in packets. Raises ``ValueError`` if the places are none of it.
        """
        if not 0 <= start <= end <= len(received):
            raise ValueError("nothing is at that place")
        if received is not self._received:  # a parser has the same for long; it is not resized meanwhile
            self._received, self._data = received, ffi.from_buffer(received)
        track = self._track
        track.channel, track.payload_type, track.ssrc = channel, payload_type, ssrc
        track.sequence, track.timestamp = sequence, timestamp
        if not lib.camshaft_take_picture(self._data + start, end - start, track, _out, _ROOM, MAX_PAYLOAD, _picture):
            return None
        payloads: list[bytes] = []
        at = 0
        for stop in ffi.unpack(_picture.ends, _picture.payloads):
            payloads.append(_written[at:stop])
            at = stop
        return Picture(_picture.size, _picture.packets, _picture.octets, _picture.timestamp, _picture.first, payloads)


if BUILT:  # written and read within one call of ``take``, by the one thread that has the cameras
    _out = ffi.new("uint8_t[]", _ROOM)
    _written = ffi.buffer(_out)
    _picture = ffi.new("struct camshaft_picture *")
