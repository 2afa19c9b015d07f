"""The compiled shortcut of ingest's hot path, where it was built.

``pictures.c`` takes an ordinary picture, as nearly all are, out of what was read from a camera, and says what is one.
All else goes the way through ``ingest.rtsp.parser`` and ``ingest.rtp.receiver``, and so do ordinary pictures where
nothing was built: the same batches come of it, for three times the processor's time.
"""

from __future__ import annotations

from typing import Any

from common.media import MAX_PAYLOAD

try:
    from ingest.native._pictures import ffi, lib
except ImportError:  # no compiler or no headers when Camshaft was installed
    ffi = lib = None

BUILT = lib is not None
NEEDS = "a C compiler and the headers of Python (Debian: gcc python3-dev)"

Picture = tuple[int, int, int, int, int, list[bytes]]
"""An ordinary picture: the bytes that it takes where it stands, with its framing; its RTP packets, and their bytes; its
timestamp as it came; the byte behind the NAL unit header of its first slice; its payloads for viewers."""

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


class Pictures:
    """Takes the ordinary pictures of one track. To be made only where it was ``BUILT``."""

    __slots__ = ("_data", "_h265", "_received")

    def __init__(self, *, h265: bool) -> None:
        self._h265 = h265
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
        # A parser has the same for long, and does not resize it. A memoryview of it would not do: Python 3.11 crashes
        # where its garbage collector meets one that something else has a hold of.
        if received is not self._received:
            self._received, self._data = received, ffi.from_buffer(received)
        count = lib.camshaft_take_picture(
            self._data + start,
            end - start,
            channel,
            payload_type,
            self._h265,
            sequence,
            ssrc,
            timestamp,
            _out,
            _ROOM,
            MAX_PAYLOAD,
            _found,
        )
        if not count:
            return None
        size, packets, octets, timestamp, first, *ends = ffi.unpack(_found, _ENDS + count)
        payloads: list[bytes] = []
        begin = 0
        for stop in ends:
            payloads.append(_written[begin:stop])
            begin = stop
        return size, packets, octets, timestamp, first, payloads


if BUILT:  # written and read within one call of ``take``, by the one thread that has the cameras
    _out = ffi.new("uint8_t[]", _ROOM)
    _written = ffi.buffer(_out)
    _ENDS = lib.CAMSHAFT_ENDS
    _found = ffi.new("uint32_t[]", _ENDS + 128)
