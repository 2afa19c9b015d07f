"""Motion JPEG: the image that FFmpeg encoded comes out of its packets again."""

from __future__ import annotations

import av
import pytest

from common.errors import ProtocolError
from ingest.payload.jpeg import jpeg_repacker, repack_jpeg
from rigs.tracks import Image


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
    image, repack = Image.encode(), jpeg_repacker()
    bare = [image.packets(quality=quality, tables=False) for quality in (200, 201)]
    with pytest.raises(ProtocolError, match="quantization tables"):
        repack(bare[0])
    repack(image.packets(quality=200))
    assert decoded(b"".join(repack(bare[0])[0].payloads)) == decoded(image.whole)
    with pytest.raises(ProtocolError, match="quantization tables"):
        repack(bare[1])
