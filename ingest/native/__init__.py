"""The compiled shortcut of ingest's hot path, where it was built.

``pictures.c`` takes an ordinary picture, as nearly all are, out of what was read from a camera, and says what is one.
All else goes the way through ``ingest.rtsp.parser`` and ``ingest.rtp.receiver``, and so do ordinary pictures where
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
H264, H265, SOUND = range(3)  # CAMSHAFT_H264, …
NEEDS = "a C compiler and the headers of Python (Debian: gcc python3-dev)"

Picture = tuple[int, int, int, int, int, list[bytes]]
"""An ordinary picture: the bytes that it takes where it stands, with its framing; its RTP packets, and their bytes; its
timestamp as it came; the byte behind the NAL unit header of its first slice; its payloads for viewers."""


class Due(NamedTuple):
    """The next packet of a track, as it has to be, and how its batch begins."""

    of: int  # CAMSHAFT_H264, …
    channel: int  # interleaved
    payload_type: int
    sequence: int  # of 16 bits
    ssrc: int
    raw: int  # timestamp of the one before, as it came
    leap: int  # ticks that its timestamp may be later
    until_ns: int  # when it has to have come
    timestamp: int  # of the one before, as given out
    rate: int  # ticks a second
    capture_ns: int  # what the time of capture is more than the timestamp …
    learns: bool  # … and whether what arrives before that time says that it is less
    number: int  # of its first payload in the epoch
    begin: bytes  # of the batch, up to its epoch


class Said(NamedTuple):
    """A picture or piece of sound that was taken, in numbers."""

    begin: int  # where its frame is, with its length before it, …
    batch: int  # … where the encoded batch begins in that …
    end: int  # … and where both end
    packets: int
    octets: int
    raw: int  # timestamp as it came
    first: int  # the byte behind the NAL unit header of a picture's first slice
    payloads: int


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


class Course:
    """Takes the next packet of a track, and knows what is made of it. To be made only where it was ``BUILT``."""

    __slots__ = ("_course",)

    def __init__(self, due: Due, topic: bytes) -> None:
        """Take what is ``due``; its batches go out under ``topic``. Raises ``ValueError`` if that is too long."""
        begin = topic + due.begin
        if len(begin) > lib.CAMSHAFT_MAX_BEGIN:
            raise ValueError("a topic is no longer than that")
        self._course = ffi.new(
            "struct camshaft_course *",
            (*due[:-1], MAX_PAYLOAD, len(topic), len(begin), begin.ljust(lib.CAMSHAFT_MAX_BEGIN, b"\0")),
        )

    def take(self, received: Any, size: int, arrival_ns: int) -> Said | None:
        """Take the picture, or the piece of sound, that all of ``size`` bytes is which lie in ``received``.

        ``None``, and nothing has happened, if it is not there or not ordinary. See ``framed``.
        """
        if not lib.camshaft_take_express(self._course, received, size, arrival_ns, _frame, _ROOM_OUT, _said):
            return None
        return tuple.__new__(Said, ffi.unpack(_said, lib.CAMSHAFT_SAID))  # as Said._make, without Python's call


def place(received: bytearray) -> Any:
    """A buffer as ``Course.take`` reads it; it must not be resized for as long."""
    return ffi.from_buffer(received)


def framed(said: Said) -> memoryview:
    """The frame of what was taken last, behind its length, up to its batch's end; it stays until another is taken."""
    return _framed[said.begin : said.end]


if BUILT:  # written and read within one call of ``take``, by the one thread that has the cameras
    _out = ffi.new("uint8_t[]", _ROOM)
    _written = ffi.buffer(_out)
    _ENDS = lib.CAMSHAFT_ENDS
    _found = ffi.new("uint32_t[]", _ENDS + 128)
    _ROOM_OUT = 2 * _ROOM  # payloads lie in one half before they come to the other
    _frame = ffi.new("uint8_t[]", _ROOM_OUT)
    _framed = memoryview(ffi.buffer(_frame))
    _said = ffi.new("uint32_t[]", lib.CAMSHAFT_SAID)
