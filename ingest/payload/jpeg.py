"""Motion JPEG over RTP (RFC 2435) on its way to a converter: whole JPEG images; no I/O.

A packet has no header of JPEG but its own, from which the image's are made again (RFC 2435 4.1 and appendix B), with
the tables of ISO/IEC 10918-1 K.1 and K.3 that the sender left out. A picture beyond 2,040 pixels cannot be said there:
its size is in the session description, or in the header of the image itself, which stands in a header extension
(ONVIF Streaming Specification 5.1.3).

A source that is not RTSP has whole images already (``WHOLE``).
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache

from common.errors import ProtocolError
from common.media import Track
from common.payload.output import Output, pieces
from ingest.payload.frames import Frames, Unit

WHOLE = "x-camshaft-whole"  # parameter of a session description that a demuxer of ours writes: see repack_whole

_HEADER = struct.Struct("!B3sBBBB")  # type-specific, fragment offset, type, Q, width and height in blocks of 8 pixels
_TABLE = 64  # values of a quantization table
_MOST = 255 * 8  # pixels that the header can say
_RESTARTS = range(64, 128)  # types with a restart marker header (RFC 2435 3.1.7)
_OWN_TABLES = range(128, 256)  # values of Q with a quantization table header (RFC 2435 3.1.8)

# ISO/IEC 10918-1 K.1 and K.2 in zigzag order, at Q 50 (RFC 2435 appendix A).
_LUMA = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d717970"
    "64785c656763"
)
_CHROMA = bytes.fromhex(
    "1112121815182f1a1a2f634238426363636363636363636363636363636363636363636363636363636363636363636363636363636363636363"
    "636363636363"
)

# ISO/IEC 10918-1 K.3: for each table its class and destination, the number of codes of each length, and their values.
_HUFFMAN = (
    (0x00, "00010501010101010100000000000000", "000102030405060708090a0b"),
    (0x01, "00030101010101010101010000000000", "000102030405060708090a0b"),
    (
        0x10,
        "0002010303020403050504040000017d",
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a343536373839"
        "3a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7"
        "a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
    ),
    (
        0x11,
        "00020102040403040705040400010277",
        "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738"
        "393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5"
        "a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
    ),
)


Tables = tuple[bytes, ...]
"""Quantization tables of an image, for brightness and colours, or for both: 64 values of a byte each, or of two."""


class Jpeg(Frames):
    """One camera's Motion JPEG. Its tables are remembered: it may send them with its first image alone."""

    def __init__(self, track: Track, output: Output, size: tuple[int, int] = (0, 0)) -> None:
        super().__init__(track, self._repack_image, output)
        self._whole = size  # as it was announced, or came
        self._tables: dict[int, Tables] = {}

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """See ``Frames``."""
        if packet[0] & 0x10 and start > 20:  # the extension is looked at where its image begins
            self._whole = _size_in(packet[12 + 4 * (packet[0] & 15) : start]) or self._whole
        super().receive(packet, start, end, timestamp, marker, arrival_ns)

    def _repack_image(self, payloads: list[bytes]) -> list[Unit]:
        return repack_jpeg(payloads, self._tables, self._whole)


def _size_in(extension: bytes) -> tuple[int, int] | None:
    """Width and height in an image's header, as a header extension of RTP (RFC 3550 5.3.1) holds it."""
    if extension[:2] != b"\xff\xd8":
        return None
    frame = _FRAME.search(extension, 4)
    return (int.from_bytes(frame[2]), int.from_bytes(frame[1])) if frame else None


_FRAME = re.compile(rb"\xff[\xc0\xc1]\0.\x08(..)(..)", re.DOTALL)  # SOF of baseline or extended, 8 bits: B.2.2


def repack_jpeg(
    payloads: list[bytes], known: dict[int, Tables] | None = None, said: tuple[int, int] = (0, 0)
) -> list[Unit]:
    """Each image is a keyframe. Raises ``ProtocolError``.

    ``known`` are the tables that came before, by Q, for images that say no more than that (RFC 2435 3.1.8); ``said`` is
    the size of pictures too large to say it.
    """
    expected, scan, head = 0, [], b""
    for payload in payloads:
        if len(payload) < _HEADER.size:
            raise ProtocolError("a packet of JPEG has no header")
        _, raw_offset, kind, quality, width, height = _HEADER.unpack_from(payload)
        at, interval = _HEADER.size, 0
        if int.from_bytes(raw_offset, "big") != expected:
            raise ProtocolError("a part of the image is missing")
        if kind in _RESTARTS:
            interval = int.from_bytes(payload[at : at + 2], "big")
            at += 4
        if not expected:
            tables: Tables = ()
            if quality in _OWN_TABLES:
                size = int.from_bytes(payload[at + 2 : at + 4], "big")
                tables = _own_tables(payload[at + 4 : at + 4 + size], payload[at + 1 : at + 2])
                at += 4 + size
                tables = tables or (known or {}).get(quality, ())
            head = _head(kind & 0x3F, quality, *_whole_size(width, height, said), interval, tables)
            if known is not None and quality in _OWN_TABLES:
                known[quality] = tables
        scan.append(payload[at:])
        expected += len(scan[-1])
    image = head + b"".join(scan)
    return [Unit(pieces(image if image.endswith(b"\xff\xd9") else image + b"\xff\xd9"), keyframe=True)]


def _whole_size(width: int, height: int, said: tuple[int, int]) -> tuple[int, int]:
    """Pixels, from blocks of eight in a byte each, which are 0 or what is left of them where there are too many."""
    large = max(said) > _MOST and all(
        not blocks or (pixels + 7) // 8 % 256 == blocks for blocks, pixels in zip((width, height), said, strict=True)
    )
    return said if large else (width * 8, height * 8)


def repack_whole(payloads: list[bytes]) -> list[Unit]:
    """An image as a JPEG file has it. Raises ``ProtocolError``."""
    image = b"".join(payloads)
    if not image.startswith(b"\xff\xd8"):
        raise ProtocolError("what comes is no image of JPEG")
    return [Unit(pieces(image), keyframe=True)]


@lru_cache(maxsize=64)  # a camera's is the same for each image
def _head(kind: int, quality: int, width: int, height: int, interval: int, tables: Tables) -> bytes:
    """Everything before the image's scan. Raises ``ProtocolError``."""
    if kind > 1:
        raise ProtocolError(f"type {kind} of JPEG is not known")
    if not width or not height:
        raise ProtocolError("the image says no size")
    if not tables:
        if not 0 < quality < 100:
            raise ProtocolError("the image has no quantization tables")
        tables = _tables(quality)
    sampling = 0x21 if kind == 0 else 0x22
    second = len(tables) - 1
    parts = [b"\xff\xd8"]
    parts += [_segment(0xDB, bytes(((len(table) > _TABLE) << 4 | n,)) + table) for n, table in enumerate(tables)]
    components = bytes((1, sampling, 0, 2, 0x11, second, 3, 0x11, second))
    parts.append(_segment(0xC0, struct.pack("!BHHB", 8, height, width, 3) + components))
    for place, lengths, values in _HUFFMAN:
        parts.append(_segment(0xC4, bytes((place,)) + bytes.fromhex(lengths) + bytes.fromhex(values)))
    if interval:
        parts.append(_segment(0xDD, struct.pack("!H", interval)))
    parts.append(_segment(0xDA, bytes((3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0))))
    return b"".join(parts)


def _own_tables(data: bytes, precision: bytes) -> Tables:
    """The tables of an image's header (RFC 2435 3.1.8), two at most. Raises ``ProtocolError``.

    Webcams have a third one, for a component that has the second here; ``precision`` has a bit for each of 16 bits.
    """
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < 2:
        size = 2 * _TABLE if precision[0] >> len(found) & 1 else _TABLE
        if len(data) < at + size:
            raise ProtocolError("the image's quantization tables are cut")
        found.append(data[at : at + size])
        at += size
    return tuple(found)


def _tables(quality: int) -> Tables:
    """RFC 2435 4.2."""
    scale = 5_000 // quality if quality < 50 else 200 - quality * 2
    return _scaled(_LUMA, scale), _scaled(_CHROMA, scale)


def _scaled(table: bytes, scale: int) -> bytes:
    return bytes(min(max((value * scale + 50) // 100, 1), 255) for value in table)


def _segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack("!H", len(data) + 2) + data
