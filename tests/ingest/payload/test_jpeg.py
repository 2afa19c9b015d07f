"""Motion JPEG: the image that FFmpeg encoded comes out of its packets again."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import av
import pytest

from common.errors import ProtocolError
from ingest.payload.jpeg import repack_jpeg
from rigs.codecs import pictures


@dataclass(frozen=True)
class Image:
    """What a sender takes of a JPEG image (RFC 2435 4.1)."""

    whole: bytes
    tables: bytes
    interval: int
    scan: bytes

    @classmethod
    def encode(cls) -> Image:
        whole = pictures("mjpeg", 1, pixels="yuvj420p", options="huffman=default")[0].data
        at, tables, interval = 2, b"", 0
        while True:
            marker, size = whole[at + 1], int.from_bytes(whole[at + 2 : at + 4], "big")
            segment, at = whole[at + 4 : at + 2 + size], at + 2 + size
            if marker == 0xDB:
                tables += segment[1:65]
            elif marker == 0xDD:
                interval = int.from_bytes(segment, "big")
            elif marker == 0xDA:
                return cls(whole, tables, interval, whole[at:])

    def packets(self, size: int = 1_300, *, quality: int = 255) -> list[bytes]:
        out = []
        for at in range(0, len(self.scan), size):
            header = struct.pack("!B3sBBBBHH", 0, at.to_bytes(3, "big"), 65, quality, 40, 30, self.interval, 0xFFFF)
            if not at and quality > 127:
                header += struct.pack("!BBH", 0, 0, len(self.tables)) + self.tables
            out.append(header + self.scan[at : at + size])
        return out


def decoded(image: bytes) -> list[bytes]:
    decoder = av.CodecContext.create("mjpeg", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    [frame] = decoder.decode(av.Packet(image))
    return [bytes(plane) for plane in frame.planes]


def test_an_image_with_its_own_tables_comes_out_as_it_went_in() -> None:
    image = Image.encode()
    [unit] = repack_jpeg(image.packets())
    assert unit.keyframe
    assert decoded(b"".join(unit.payloads)) == decoded(image.whole)


def test_an_image_without_tables_gets_those_of_its_quality() -> None:
    image = Image.encode()
    [unit] = repack_jpeg(image.packets(quality=50))
    data = b"".join(unit.payloads)
    assert bytes.fromhex("ffdb004300100b0c0e0c0a100e") in data, "ISO/IEC 10918-1 K.1, as it is at 50"
    assert len(decoded(data)) == 3


def test_a_lower_quality_has_coarser_tables() -> None:
    [unit] = repack_jpeg(Image.encode().packets(quality=25))
    assert bytes.fromhex("ffdb0043002016181c") in b"".join(unit.payloads)


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\0" * 7],
        [bytes((0, 0, 0, 9, 1, 50, 40, 30)) + b"scan"],
        [bytes((0, 0, 0, 0, 2, 50, 40, 30)) + b"scan"],
        [bytes((0, 0, 0, 0, 1, 0, 40, 30)) + b"scan"],
        [bytes((0, 0, 0, 0, 1, 50, 0, 30)) + b"scan"],
        [bytes((0, 0, 0, 0, 1, 255, 40, 30)) + b"\0\0\0\x05table"],
    ],
    ids=["no header", "no beginning", "unknown type", "no tables", "no width", "short tables"],
)
def test_what_is_no_image_is_refused(payloads: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        repack_jpeg(payloads)
