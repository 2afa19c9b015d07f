"""MPEG-2 video: what FFmpeg encoded comes out of its packets, and each keyframe can be begun with."""

from __future__ import annotations

import av
import pytest

from common.errors import ProtocolError
from ingest.payload.mpeg2 import repack_mpeg2
from rigs.codecs import pictures

SEQUENCE = b"\0\0\1\xb3"
STEADY = "sc_threshold=1000000000"  # no keyframes but those of each tenth picture


def packets(data: bytes, size: int = 1_300, *, extended: bool = False) -> list[bytes]:
    header = b"\x04\0\0\0" + bytes(4) if extended else bytes(4)
    return [header + data[at : at + size] for at in range(0, len(data), size)]


def decoded(units: list[bytes]) -> int:
    decoder = av.CodecContext.create("mpeg2video", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    return sum(len(decoder.decode(av.Packet(unit))) for unit in units) + len(decoder.decode(None))


@pytest.mark.parametrize("extended", [False, True])
def test_pictures_come_out_as_they_went_in(extended: bool) -> None:
    coded, repack = pictures("mpeg2video", options=STEADY), repack_mpeg2()
    units = [unit for picture in coded for unit in repack(packets(picture.data, extended=extended))]
    assert [b"".join(unit.payloads) for unit in units] == [picture.data for picture in coded]
    assert [unit.keyframe for unit in units] == [picture.keyframe for picture in coded]


def test_a_sequence_header_that_came_once_stands_before_each_keyframe() -> None:
    coded, repack, units = pictures("mpeg2video", options=STEADY), repack_mpeg2(), []
    for number, picture in enumerate(coded):
        data = picture.data if not number else picture.data[picture.data.find(b"\0\0\1\0") :]
        units += repack(packets(data))
    keyframes = [b"".join(unit.payloads) for unit in units if unit.keyframe]
    assert len(keyframes) == 2
    assert all(keyframe.startswith(SEQUENCE) for keyframe in keyframes)
    assert decoded([b"".join(unit.payloads) for unit in units[10:]]) == 10


@pytest.mark.parametrize("data", [b"", b"x", b"\0\0\1\0", b"\0\0\1\0\0\x08abc", SEQUENCE * 10])
def test_what_is_no_picture_that_can_be_begun_with_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        repack_mpeg2()([bytes(4) + data])
