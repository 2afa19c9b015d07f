"""Media sections of a ``FakeCamera`` in any codec of FFmpeg's, in packets as cameras make them, or in wrong ones."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from rigs.camera import FakeTrack
from rigs.codecs import Coded, Tone, pictures
from rigs.video import Packet, nal_units

SIZE = 1_300  # bytes of a payload
TICKS = 3_600  # of 90 kHz in a picture at 25 a second
VPS, SPS, PPS = 32, 33, 34  # nal_unit_type of H.265
_MPEG2_SLICE = re.compile(b"\0\0\1[\x01-\xaf]")
X265 = "preset=ultrafast x265-params=log-level=none:bframes=0:repeat-headers=1:keyint=10:min-keyint=10:scenecut=0"


@dataclass(frozen=True)
class Image:
    """The parts of a JPEG image that a sender takes (RFC 2435 4.1)."""

    whole: bytes
    tables: bytes
    interval: int  # of restart markers
    blocks: tuple[int, int]  # width and height in blocks of 8 pixels
    sampling: int  # type of RFC 2435: 0 is 4:2:2, 1 is 4:2:0
    scan: bytes

    @classmethod
    def of(cls, whole: bytes) -> Self:
        """Take an image apart."""
        at, tables, interval, blocks, sampling = 2, b"", 0, (0, 0), 1
        while True:
            marker, size = whole[at + 1], int.from_bytes(whole[at + 2 : at + 4], "big")
            segment, at = whole[at + 4 : at + 2 + size], at + 2 + size
            if marker == 0xDB:
                tables += b"".join(segment[n + 1 : n + 65] for n in range(0, len(segment), 65))
            elif marker == 0xC0:
                _, height, width = struct.unpack_from("!BHH", segment)
                blocks, sampling = ((width + 7) // 8, (height + 7) // 8), int(segment[7] == 0x22)
            elif marker == 0xDD:
                interval = int.from_bytes(segment, "big")
            elif marker == 0xDA:
                return cls(whole, tables, interval, blocks, sampling, whole[at:])

    @classmethod
    def encode(cls, *, width: int = 320, height: int = 240) -> Self:
        """An image by FFmpeg."""
        options = "huffman=default"
        return cls.of(pictures("mjpeg", 1, width=width, height=height, pixels="yuvj420p", options=options)[0].data)

    def packets(self, size: int = SIZE, *, quality: int = 255, tables: bool = True) -> list[bytes]:
        """The picture's packets. Qualities beyond 127 have tables of their own, unless they are left out."""
        out = []
        kind = self.sampling + (64 if self.interval else 0)
        for at in range(0, len(self.scan), size):
            header = struct.pack("!B3sBBBB", 0, at.to_bytes(3, "big"), kind, quality, *(n & 255 for n in self.blocks))
            if self.interval:
                header += struct.pack("!HH", self.interval, 0xFFFF)
            if not at and quality > 127:
                own = self.tables if tables else b""
                header += struct.pack("!BBH", 0, 0, len(own)) + own
            out.append(header + self.scan[at : at + size])
        return out


def jpeg_track(images: Iterable[bytes], *, quality: int = 255, tables: bool = True) -> FakeTrack:
    """Motion JPEG (RFC 2435)."""
    units = [_marked(Image.of(image).packets(quality=quality, tables=tables)) for image in images]
    return FakeTrack("m=video 0 RTP/AVP 26\n", units, 26, ticks=TICKS, control="v")


def h265_track(coded: Iterable[Coded], *, without: Iterable[int] = (), name: str = "H265") -> FakeTrack:
    """H.265 (RFC 7798), without NAL units of some types; announced by another ``name`` if that is wanted."""
    units = []
    for picture in coded:
        nals = [nal for nal in nal_units(picture.data) if nal[0] >> 1 & 0x3F not in set(without)]
        units.append(_marked([payload for nal in nals for payload in h265_fragments(nal, SIZE)]))
    return FakeTrack(f"m=video 0 RTP/AVP 96\na=rtpmap:96 {name}/90000\n", units, ticks=TICKS, control="v")


def h265_fragments(nal: bytes, size: int = 1_400) -> list[bytes]:
    """The payloads for one NAL unit (RFC 7798 4.4.3)."""
    if len(nal) <= size:
        return [nal]
    parts = [nal[at : at + size - 3] for at in range(2, len(nal), size - 3)]
    return [
        bytes((nal[0] & 0x81 | 49 << 1, nal[1], (n == 0) << 7 | (n == len(parts) - 1) << 6 | nal[0] >> 1 & 0x3F)) + part
        for n, part in enumerate(parts)
    ]


def vpx_track(codec: str, coded: Iterable[Coded]) -> FakeTrack:
    """VP8 (RFC 7741) or VP9 (RFC 9628)."""
    begins, goes_on = (0x10, 0x00) if codec == "VP8" else (0x08, 0x00)
    units = []
    for picture in coded:
        parts = [picture.data[at : at + SIZE] for at in range(0, len(picture.data), SIZE)]
        units.append(_marked([bytes((goes_on if n else begins,)) + part for n, part in enumerate(parts)]))
    return FakeTrack(f"m=video 0 RTP/AVP 96\na=rtpmap:96 {codec}/90000\n", units, ticks=TICKS, control="v")


def mpeg4_track(coded: Iterable[Coded]) -> FakeTrack:
    """MPEG-4 part 2 (RFC 6416), its configuration in the stream."""
    cut = [[picture.data[at : at + SIZE] for at in range(0, len(picture.data), SIZE)] for picture in coded]
    sdp = "m=video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000\n"
    return FakeTrack(sdp, [_marked(parts) for parts in cut], ticks=TICKS, control="v")


def mpeg2_track(coded: Iterable[Coded]) -> FakeTrack:
    """MPEG-2 video (RFC 2250 3): slices are cut where they do not fit alone."""
    return FakeTrack("m=video 0 RTP/AVP 32\n", [_marked(_mpeg2(each.data)) for each in coded], 32, control="v")


def _mpeg2(picture: bytes) -> list[bytes]:
    places = [match.start() for match in _MPEG2_SLICE.finditer(picture)] + [len(picture)]
    at = picture.find(b"\0\0\1\0") + 4
    header = int.from_bytes(picture[at : at + 2]) >> 6, picture[at + 1] >> 3 & 7  # number and kind of the picture
    out, at = [], 0
    while at < len(picture):
        end = max((place for place in places if at < place <= at + SIZE), default=min(at + SIZE, len(picture)))
        part = picture[at:end]
        flags = (b"\0\0\1\xb3" in part) << 5 | (at in places) << 4 | (end in places) << 3
        out.append(struct.pack("!HBB", header[0], flags | header[1], 0) + part)
        at = end
    return out


def aac_track(tone: Tone, *, rate: int, config: str, ticks: int = 1_024) -> FakeTrack:
    """AAC (RFC 3640), a frame in each packet, with that configuration in its description."""
    headers = [struct.pack("!HH", 16, len(frame) << 3) for frame in tone.payloads]
    units = [[Packet(header + frame, 0, True)] for header, frame in zip(headers, tone.payloads, strict=True)]
    sdp = f"m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/{rate}\n"
    parameters = f"streamtype=5;mode=AAC-hbr;config={config};sizelength=13;indexlength=3;indexdeltalength=3"
    return FakeTrack(f"{sdp}a=fmtp:97 {parameters}\n", units, 97, 0x9876, ticks, control="a")


def _marked(payloads: list[bytes]) -> list[Packet]:
    """One access unit: the last packet has the marker."""
    return [Packet(payload, 0, n == len(payloads) - 1) for n, payload in enumerate(payloads)]
