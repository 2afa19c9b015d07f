"""The codec of a picture by what comes, whatever the session description says; no I/O.

Firmware announces H.264 whatever is set, and restarts its encoder with another codec in mid-session. A codec is only
said where what comes proves it: a sequence parameter set that can be read and stands where one may, a start code of 24
bits at its exact place in two pictures, an image whose packets fit together, a picture header that says what the packet
says. Nothing is kept but a few numbers.
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
KEYFRAMES = 2  # of VP8 or VP9: other video has the 24 bits of one by chance, once in many hours

_START_CODE = re.compile(b"\0\0\1")
_H264_PROFILES = {44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 244}  # profile_idc, H.264 annex A.2
_H265_PROFILES = range(1, 12)  # general_profile_idc, H.265 annex A.3
_H264_LEVELS = {9, *range(10, 14), 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62}  # level_idc, table A-1
_LONGEST_SET = 512  # bytes: scaling lists take some hundred; a part of a picture that begins like a set is longer
_BEFORE_SPS = {6, 9}  # nal_unit_type of what may stand before it in a packet: SEI, a delimiter
_H265_SPS, _H265_PPS = b"\x42\x01", b"\x44\x01"  # headers of parameter sets, H.265 7.3.1.2
_STAP_A, _AGGREGATE = 24, 48  # RFC 6184 5.7.1, RFC 7798 4.4.2
_VP8_START = b"\x9d\x01\x2a"  # of a keyframe, RFC 6386 9.1
_VP9_SYNC = b"\x49\x83\x42"  # frame_sync_code
_PICTURE, _SEQUENCE = b"\0\0\1\0", b"\0\0\1\xb3"  # start codes, ISO/IEC 13818-2 6.2.1
_MPEG4 = re.compile(b"\0\0\1(?:\xb0|[\0-\x1f]\0\0\1[\x20-\x2f])")  # a sequence or an object, with a layer; 14496-2 6.2
_JPEG = struct.Struct("!B3sBBBB")  # RFC 2435 3.1


class Recogniser:
    """The recogniser of one track. It looks at each packet from the first on, until the codec is known."""

    def __init__(self) -> None:
        self._jpeg = b"", 0, 0  # type, Q, width and height of the image; its bytes so far; packets that fitted
        self._keyframes = {"VP8": 0, "VP9": 0}

    def look(self, payload: bytes, marker: bool) -> str:
        """The codec, as tracks name it, if this payload of RTP proves it; else an empty string."""
        begin = payload[:LOOKED_AT]
        if _is_mpeg2(begin):  # first: its slices have the start codes of H.264's parameter sets
            return "MPV"
        if self._is_jpeg(payload, marker):
            return "JPEG"
        with suppress(ValueError):
            if h264_syntax.parse_sps(_h264_sps(begin)):
                return "H264"
        with suppress(ValueError):
            if h265_syntax.parse_sps(_h265_sps(begin)).profile in _H265_PROFILES:
                return "H265"
        codec = "VP8" if _is_vp8(begin) else "VP9" if _is_vp9(begin) else ""
        if codec:
            self._keyframes[codec] += 1
            return codec if self._keyframes[codec] >= KEYFRAMES else ""
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


def _h264_sps(payload: bytes) -> bytes:
    """The bytes that may be a sequence parameter set of H.264; empty if none may.

    It is a packet's own NAL unit or in an aggregate (RFC 6184 5.6, 5.7), or stands with a picture parameter set behind
    a delimiter, where a camera leaves start codes in its packets.
    """
    units = list(_aggregated(payload, 1)) if payload[0] & 0x9F == _STAP_A else []
    first, *others = _split(payload)
    units.append(first)
    if (
        first[0] & 0x80 == 0
        and first[0] & 0x1F in _BEFORE_SPS
        and any(each[0] & 0x9F == h264_syntax.PPS for each in others)
    ):
        units += others
    return next(filter(_may_be_h264_sps, units), b"")


def _may_be_h264_sps(unit: bytes) -> bool:
    """H.264 7.4.1, 7.4.2.1.1: what stands in every set, and in one of a hundred pieces of another codec's picture that
    begin like one. Many of these could be read."""
    return (
        unit[0] & 0x9F == h264_syntax.SPS
        and unit[0] & 0x60 > 0  # nal_ref_idc
        and 4 < len(unit) <= _LONGEST_SET
        and unit[1] in _H264_PROFILES
        and not unit[2] & 3  # reserved_zero_2bits
        and unit[3] in _H264_LEVELS
    )


def _h265_sps(payload: bytes) -> bytes:
    """The sequence parameter set in a payload of H.265 (RFC 7798 4.4); empty if there is none."""
    units = list(_aggregated(payload, 2)) if payload[0] >> 1 == _AGGREGATE else []
    first, *others = _split(payload)
    units.append(first)
    if any(each.startswith(_H265_PPS) for each in others):
        units += others
    return next((each for each in units if each.startswith(_H265_SPS)), b"")


def _split(payload: bytes) -> list[bytes]:
    """The payload's NAL units if it has start codes, one before the first or none; else the payload is the only one."""
    units = [unit for unit in _START_CODE.split(payload, maxsplit=MAX_UNITS) if len(unit) > 1]
    return units or [payload + b"\0"]


def _aggregated(payload: bytes, at: int) -> Iterator[bytes]:
    for _ in range(MAX_UNITS):
        size = int.from_bytes(payload[at : at + 2])
        if size < 2 or at + 2 + size > len(payload):
            return
        yield payload[at + 2 : at + 2 + size]
        at += 2 + size


def _is_mpeg2(payload: bytes) -> bool:
    """RFC 2250 3.4: whether a picture begins whose number and kind are those in the packet's header, or a sequence."""
    if payload[0] & 0xF8 or payload.startswith(b"\0\0\1"):
        return False
    at = 8 if payload[0] & 0x04 else 4
    begin = payload[at : at + 12]
    if len(begin) == 12 and begin.startswith(_SEQUENCE):  # with its format, its rate and a marker bit; 6.2.2.1
        return begin[7] >> 4 > 0 and 0 < begin[7] & 0x0F < 9 and begin[10] & 0x20 > 0
    number, kind = int.from_bytes(payload[:2]) & 0x3FF, payload[2:3]
    return (
        len(begin) >= 6
        and begin.startswith(_PICTURE)
        and int.from_bytes(begin[4:6]) >> 3 == number << 3 | kind[0] & 7
        and kind[0] & 7 > 0
    )


def _is_vp8(payload: bytes) -> bool:
    """RFC 7741 4.2: whether a keyframe begins."""
    if payload[0] & 0x5F != 0x10:  # S, the first partition, and no reserved bit
        return False
    at = 1
    if payload[0] & 0x80:
        extended = payload[1:2] or b"\0"
        at = 2
        if extended[0] & 0x80:
            at += 2 if payload[2:3] >= b"\x80" else 1
        at += (extended[0] & 0x40 > 0) + (extended[0] & 0x30 > 0)
    return len(payload) > at + 6 and not payload[at] & 1 and payload[at + 3 : at + 6] == _VP8_START


def _is_vp9(payload: bytes) -> bool:
    """RFC 9628 4.2: whether a frame begins that needs no other, and is a keyframe."""
    first = payload[0]
    if first & 0x48 != 0x08:
        return False
    at = 1
    if first & 0x80:
        at += 2 if payload[1:2] >= b"\x80" else 1
    if first & 0x20:
        at += 1 if first & 0x10 else 2
    if first & 0x02:
        at = _behind_structure(payload, at)
    header = payload[at : at + 4]
    # frame_marker; show_existing_frame and frame_type are 0. In profile 3 the code is not at a whole byte.
    return header[1:] == _VP9_SYNC and header[0] & 0xCC == 0x80


def _behind_structure(payload: bytes, at: int) -> int:
    """RFC 9628 4.2.1: the place behind a scalability structure."""
    begin = payload[at : at + 1] or b"\0"
    at += 1
    if begin[0] & 0x10:
        at += 4 * ((begin[0] >> 5) + 1)
    if begin[0] & 0x08:
        pictures = (payload[at : at + 1] or b"\0")[0]
        at += 1
        for _ in range(pictures):
            at += 1 + ((payload[at : at + 1] or b"\0")[0] >> 2 & 3)
    return at
