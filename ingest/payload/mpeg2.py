"""MPEG-2 video over RTP (RFC 2250) on its way to a converter: whole pictures, keyframes with their sequence; no I/O."""

from __future__ import annotations

from common.errors import ProtocolError
from common.payload.output import pieces
from ingest.payload.frames import Repack, Unit

MAX_SEQUENCE = 4_096  # bytes of a sequence header with its extensions; two matrices are 128

_HEADER, _WITH_EXTENSION = 4, 8  # bytes before the video, RFC 2250 3.4
_EXTENDED = 0x04  # T, in the first of them
_PICTURE, _SEQUENCE, _GROUP = b"\0\0\1\0", b"\0\0\1\xb3", b"\0\0\1\xb8"  # start codes, ISO/IEC 13818-2 6.2.1
_INTRA = 1  # picture_coding_type


def repack_mpeg2() -> Repack:
    """Make the function for one camera: its sequence header stands before each keyframe that comes without."""
    sequence = b""

    def repack(payloads: list[bytes]) -> list[Unit]:
        nonlocal sequence
        if any(len(payload) <= _HEADER for payload in payloads):
            raise ProtocolError("a packet of MPEG video has no header")
        data = b"".join(payload[_WITH_EXTENSION if payload[0] & _EXTENDED else _HEADER :] for payload in payloads)
        at = data.find(_PICTURE)
        if at < 0 or at + 5 >= len(data):
            raise ProtocolError("there is no picture")
        begin = data.find(_SEQUENCE, 0, at)
        if begin >= 0:
            group = data.find(_GROUP, begin, at)
            sequence = data[begin : group if group >= 0 else at][:MAX_SEQUENCE]
        if data[at + 5] >> 3 & 7 != _INTRA:
            return [Unit(pieces(data), keyframe=False)]
        if not sequence:
            raise ProtocolError("a picture has come before its sequence header")
        return [Unit(pieces(data if begin >= 0 else sequence + data), keyframe=True)]

    return repack
