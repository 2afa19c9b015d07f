"""MPEG-4 part 2: each picture by itself, keyframes with their configuration."""

from __future__ import annotations

import av
import pytest

from common.errors import ProtocolError
from ingest.payload.mpeg4 import repack_mpeg4
from rigs.codecs import pictures


def stripped() -> tuple[str, list[bytes]]:
    """The configuration as a session description has it, and the pictures without."""
    coded = [picture.data for picture in pictures("mpeg4")]
    vop = coded[0].index(b"\0\0\1\xb6")
    configuration = coded[0][:vop]
    return configuration.hex(), [data.replace(configuration, b"") for data in coded]


def test_a_keyframe_gets_the_configuration_that_only_the_description_has() -> None:
    config, frames = stripped()
    repack = repack_mpeg4({"config": config})
    decoder = av.CodecContext.create("mpeg4", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    units = [unit for frame in frames for unit in repack([frame[:50], frame[50:]])]
    assert [unit.keyframe for unit in units] == [picture.keyframe for picture in pictures("mpeg4")]
    shown = [picture for unit in units for picture in decoder.decode(av.Packet(b"".join(unit.payloads)))]
    shown += decoder.decode(None)
    assert len(shown) == len(frames)


def test_a_configuration_in_the_stream_is_not_doubled() -> None:
    config, _ = stripped()
    data = pictures("mpeg4")[0].data
    [unit] = repack_mpeg4({"config": config})([data])
    assert b"".join(unit.payloads) == data


def test_several_small_pictures_in_one_packet_are_told_apart() -> None:
    _, frames = stripped()
    units = repack_mpeg4({})([b"".join(frames[1:4])])
    assert [b"".join(unit.payloads) for unit in units] == frames[1:4]


@pytest.mark.parametrize("payloads", [[b"middle"], [b"\0\0\1\xb3\0\0"], [b"\0\0\1\xb6"]])
def test_what_is_no_picture_is_refused(payloads: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        repack_mpeg4({"config": "no number"})(payloads)
