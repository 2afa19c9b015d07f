"""Motion JPEG: the image that FFmpeg encoded comes out of its packets again."""

from __future__ import annotations

from dataclasses import replace

import av
import pytest

from common.errors import ProtocolError
from common.media import Kind, Track
from common.payload.output import Output
from ingest.payload.jpeg import Jpeg, repack_jpeg
from rigs.tracks import Image
from tests.fakes.clocks import ArrivalClock


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


def test_tables_that_came_once_hold_for_images_of_their_quality() -> None:
    image, camera = Image.encode(), Camera()
    bare = [image.packets(quality=quality, tables=False) for quality in (200, 201)]
    assert camera.images(bare[0]) == []
    assert len(camera.images(image.packets(quality=200))) == 1
    [again] = camera.images(bare[0])
    assert decoded(again) == decoded(image.whole)
    assert camera.images(bare[1]) == []


def two_tables(image: Image) -> Image:
    """The same image, each of its two kinds of components with a table."""
    return replace(image, tables=(2 * image.tables)[:128])


@pytest.mark.parametrize("more", [64, 128])
def test_tables_beyond_the_second_are_left_out(more: int) -> None:
    image = two_tables(Image.encode())
    [unit] = repack_jpeg(replace(image, tables=image.tables + bytes(range(1, 129))[:more]).packets())
    assert decoded(b"".join(unit.payloads)) == decoded(image.whole)


@pytest.mark.parametrize("precision", [1, 2, 3])
def test_tables_of_16_bits_are_read(precision: int) -> None:
    image = two_tables(Image.encode())
    halves = image.tables[:64], image.tables[64:]
    wide = [b"".join(bytes((0, value)) for value in half) for half in halves]
    tables = b"".join(wide[n] if precision >> n & 1 else halves[n] for n in range(2))
    first, *rest = replace(image, tables=tables).packets()
    at = 8 + 4 * bool(image.interval)
    [unit] = repack_jpeg([first[: at + 1] + bytes((precision,)) + first[at + 2 :], *rest])
    assert decoded(b"".join(unit.payloads)) == decoded(image.whole)


def test_a_table_that_is_cut_is_none() -> None:
    image = two_tables(Image.encode())
    with pytest.raises(ProtocolError, match="quantization tables"):
        repack_jpeg(replace(image, tables=image.tables[:100]).packets())


def test_a_picture_too_large_for_its_header_has_the_size_that_is_said_elsewhere() -> None:
    large = Image.encode(width=2592, height=1944)
    announced = Camera((2592, 1944))
    [image] = announced.images(large.packets())
    assert sizes(image) == (2592, 1944)
    extended = Camera()
    header = b"\xff\xd8\0\x05\xff\xc0\0\x11\x08" + (1944).to_bytes(2) + (2592).to_bytes(2) + bytes(7)
    [image] = extended.images(replace(large, blocks=(0, 0)).packets(), extension=header)
    assert sizes(image) == (2592, 1944)
    [image] = announced.images(Image.encode().packets())
    assert sizes(image) == (320, 240), "it changed to what its header can say"


def sizes(image: bytes) -> tuple[int, int]:
    decoder = av.CodecContext.create("mjpeg", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    [frame] = decoder.decode(av.Packet(image))
    return frame.width, frame.height


class Camera:
    def __init__(self, size: tuple[int, int] = (0, 0)) -> None:
        self.output = Output(Kind.VIDEO, "JPEG", ArrivalClock(), epoch=1)
        self.format = Jpeg(Track(Kind.VIDEO, "JPEG", 90_000), self.output, size)
        self.number = 0

    def images(self, packets: list[bytes], *, extension: bytes = b"") -> list[bytes]:
        self.number += 1
        for at, payload in enumerate(packets):
            more = extension if not at else b""
            head = bytes((0x90 if more else 0x80,)) + bytes(11) + more
            last = at == len(packets) - 1
            self.format.receive(head + payload, len(head), len(head + payload), self.number * 3_600, last, 5)
        return [b"".join(batch.payloads) for batch in self.output.take(0)]
