"""The codec of a picture by what comes, whatever the session description says; no I/O.

Firmware announces H.264 whatever is set, and restarts its encoder with another codec in mid-session. A codec is only
said where what comes proves it: a sequence parameter set that can be read, a start code of 24 bits, an image whose
packets fit together. Nothing is kept but a few numbers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import suppress

from common.payload import h264_syntax, h265_syntax

LOOKED_AT = 2_048  # bytes of a packet, less than the longest parameter set: what proves a codec stands in front
MAX_UNITS = 8  # NAL units of a packet that are looked at
PROOF = 3  # packets of JPEG in a row that fit together

_START_CODE = re.compile(b"\0\0\1")
_H264_PROFILES = {44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 244}  # profile_idc, H.264 annex A.2
_H265_PROFILES = range(1, 12)  # general_profile_idc, H.265 annex A.3
_H265_SPS = b"\x42\x01"  # header of a sequence parameter set, H.265 7.3.1.2
_STAP_A, _AGGREGATE = 24, 48  # RFC 6184 5.7.1, RFC 7798 4.4.2
_VP8_START = b"\x9d\x01\x2a"  # of a keyframe, RFC 6386 9.1
_VP9_SYNC = b"\x49\x83\x42"  # frame_sync_code
_MPEG4 = re.compile(b"\0\0\1(?:\xb0|[\0-\x1f]\0\0\1[\x20-\x2f])")  # a sequence or an object, with a layer; 14496-2 6.2
_JPEG = struct.Struct("!B3sBBBB")  # RFC 2435 3.1


class Recogniser:
    """One track's. It looks at each packet from the first on, until its codec is known."""

    def __init__(self) -> None:
        self._jpeg = b"", 0, 0  # type, Q, width and height of the image; its bytes so far; packets that fitted

    def look(self, payload: bytes, marker: bool) -> str:
        """The codec, as tracks name it, if this payload of RTP proves it; else an empty string."""
        if self._is_jpeg(payload, marker):
            return "JPEG"
        begin = payload[:LOOKED_AT]
        units = list(_units(begin))
        h264 = next((unit for unit in units if unit[0] & 0x9F == h264_syntax.SPS and unit[1] in _H264_PROFILES), b"")
        h265 = next((unit for unit in units if unit.startswith(_H265_SPS)), b"")
        with suppress(ValueError):
            if h264 and h264_syntax.parse_sps(h264):
                return "H264"
        with suppress(ValueError):
            if h265 and h265_syntax.parse_sps(h265).profile in _H265_PROFILES:
                return "H265"
        if begin[0] & 0x17 == 0x10 and _VP8_START in begin[4:12]:  # RFC 7741 4.2: the first partition begins
            return "VP8"
        if begin[0] & 0x48 == 0x08 and _VP9_SYNC in begin[2:40]:  # RFC 9628 4.2: a frame begins, and is a keyframe
            return "VP9"
        return "MP4V-ES" if _MPEG4.match(begin) else ""

    def _is_jpeg(self, payload: bytes, marker: bool) -> bool:
        """Whether packets that follow each other are of one image; or of images that are each in a packet."""
        if len(payload) <= _JPEG.size:
            return False
        _, offset, kind, quality, width, height = _JPEG.unpack_from(payload)
        header = payload[4 : _JPEG.size]
        known, size, fitted = self._jpeg
        sane = kind in (0, 1, 64, 65) and quality and not 99 < quality < 128 and width and height
        at = int.from_bytes(offset)
        begins = not at and (not known or not size)
        if not sane or not (begins or (header == known and at == size)):
            self._jpeg = b"", 0, 0
            return False
        rest = len(payload) - _JPEG.size - (4 if kind > 63 else 0)
        if not at and quality > 127:
            table = payload[-rest:]
            rest -= 4 + int.from_bytes(table[2:4])
        fitted = fitted + 1 if header == known else 1
        self._jpeg = header, 0 if marker else size * (at > 0) + rest, fitted
        return fitted >= PROOF and rest > 0


def _units(payload: bytes) -> Iterator[bytes]:
    """Possible NAL units of two bytes or more: the packet itself, those of an aggregate, or behind start codes."""
    if payload[0] & 0x9F == _STAP_A:
        yield from _aggregated(payload, 1)
    elif payload[0] >> 1 == _AGGREGATE:
        yield from _aggregated(payload, 2)
    yield from (unit for unit in _START_CODE.split(payload, maxsplit=MAX_UNITS) if len(unit) > 1)


def _aggregated(payload: bytes, at: int) -> Iterator[bytes]:
    for _ in range(MAX_UNITS):
        size = int.from_bytes(payload[at : at + 2])
        if size < 2 or at + 2 + size > len(payload):
            return
        yield payload[at + 2 : at + 2 + size]
        at += 2 + size
