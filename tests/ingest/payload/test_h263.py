"""H.263: what FFmpeg encoded comes out of packets of either kind, also where they are cut between bits."""

from __future__ import annotations

import pytest

from common.errors import ProtocolError
from ingest.payload.h263 import repack_h263
from rigs.codecs import Coded, pictures


def coded(encoder: str) -> tuple[Coded, ...]:
    return pictures(encoder, width=352, height=288)


def whole(data: bytes, size: int = 900) -> list[bytes]:
    """RFC 4629 5.1: the first packet without the zeros of its start code."""
    parts = [data[2:][at : at + size] for at in range(0, len(data) - 2, size)]
    return [(b"\0\0" if number else b"\4\0") + part for number, part in enumerate(parts)]


def between_bits(data: bytes, bits: int) -> list[bytes]:
    """RFC 2190 5.1: in two packets, the first of which ends with so many bits of a byte."""
    at = len(data) // 2
    first, last = (data[: at + (bits > 0)], data[at:])
    return [bytes((-bits % 8, 0, 0, 0)) + first, bytes((bits << 3, 0, 0, 0)) + last]


@pytest.mark.parametrize("name", ["H263-1998", "h263-2000"])
@pytest.mark.parametrize("encoder", ["h263", "h263p"])
def test_pictures_come_out_as_they_went_in(name: str, encoder: str) -> None:
    repack = repack_h263(name)
    units = [unit for picture in coded(encoder) for unit in repack(whole(picture.data))]
    assert [b"".join(unit.payloads) for unit in units] == [picture.data for picture in coded(encoder)]
    assert [unit.keyframe for unit in units] == [picture.keyframe for picture in coded(encoder)]


def test_headers_that_stand_before_are_left_out() -> None:
    data = coded("h263p")[0].data
    payload = (0x400 | 0x200 | 2 << 3).to_bytes(2) + b"v" + b"pp" + data[2:]
    assert b"".join(repack_h263("H263-1998")([payload])[0].payloads) == data


@pytest.mark.parametrize("bits", range(8))
def test_packets_that_are_cut_between_bits(bits: int) -> None:
    repack = repack_h263("H263")
    for picture in coded("h263"):
        [unit] = repack(between_bits(picture.data, bits))
        assert (b"".join(unit.payloads), unit.keyframe) == (picture.data, picture.keyframe)


@pytest.mark.parametrize(("mode", "size"), [(0x00, 4), (0x80, 8), (0xC0, 12)])
def test_headers_of_each_mode(mode: int, size: int) -> None:
    data = coded("h263")[0].data
    [unit] = repack_h263("H263")([bytes((mode,)) + bytes(size - 1) + data])
    assert b"".join(unit.payloads) == data


@pytest.mark.parametrize("name", ["H263", "H263-1998"])
@pytest.mark.parametrize(
    "payloads",
    [
        [b"\0"],
        [b"\0\0\0\0"],
        [b"\0\0\0\0abcdef"],
        [b"\0\0\0\0\0\0\x80"],
        [b"\x08\0\0\0a"],
        [b"\1\0\0\0\0\0\x80a", bytes(8)],
    ],
)
def test_what_is_no_picture_is_refused(name: str, payloads: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        repack_h263(name)(payloads)
