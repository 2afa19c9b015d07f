"""A picture's codec is told by what comes, and nothing is told that is not proved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.payload.recognise import LOOKED_AT, Recogniser
from rigs.camera import FakeTrack, h264_track
from rigs.codecs import pictures
from rigs.tracks import X265, h265_track, jpeg_track, mpeg4_track, vpx_track
from rigs.video import encode

VPX = "deadline=realtime cpu-used=8"


def sent() -> dict[str, FakeTrack]:
    """A second of each."""
    jpegs = [picture.data for picture in pictures("mjpeg", 10, pixels="yuvj420p", options="huffman=default")]
    return {
        "H264": h264_track(),
        "H265": h265_track(pictures("libx265", options=X265)),
        "JPEG": jpeg_track(jpegs),
        "VP8": vpx_track("VP8", pictures("libvpx", options=VPX)),
        "VP9": vpx_track("VP9", pictures("libvpx-vp9", options=VPX)),
        "MP4V-ES": mpeg4_track(pictures("mpeg4")),
    }


def said(track: FakeTrack) -> list[str]:
    """The answer to each packet."""
    recogniser = Recogniser()
    return [recogniser.look(packet.payload, packet.marker) for unit in track.units for packet in unit]


@pytest.mark.parametrize("codec", ["H264", "H265", "JPEG", "VP8", "VP9", "MP4V-ES"])
def test_each_codec_is_told_by_its_packets_and_taken_for_no_other(codec: str) -> None:
    assert {each for each in said(sent()[codec]) if each} == {codec}


def test_images_of_one_packet_each_are_told() -> None:
    small = [picture.data for picture in pictures("mjpeg", 5, width=32, height=32, pixels="yuvj420p")]
    assert said(jpeg_track(small))[-1] == "JPEG"


def test_parameter_sets_are_found_in_aggregates_and_behind_start_codes() -> None:
    [sequence, picture, slice_, *_] = encode()[0]
    aggregate = b"\x78" + b"".join(len(nal).to_bytes(2) + nal for nal in (sequence, picture))
    stream = b"\0\0\0\1".join((b"", b"\x09\xf0", sequence, picture, slice_))
    assert [Recogniser().look(payload, False) for payload in (aggregate, stream)] == ["H264", "H264"]


@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_garbage_proves_nothing(payload: bytes, marker: bool) -> None:
    assert Recogniser().look(payload, marker) == ""


@given(st.data())
def test_damage_is_looked_at_without_harm(data: st.DataObject) -> None:
    track = sent()[data.draw(st.sampled_from(sorted(sent())))]
    packet = data.draw(st.sampled_from(track.units[0])).payload
    at, byte = data.draw(st.integers(0, len(packet) - 1)), data.draw(st.integers(0, 255))
    Recogniser().look(packet[:at] + bytes((byte,)) + packet[at + 1 :], True)


def test_no_more_is_looked_at_than_the_beginning() -> None:
    sequence = encode()[0][0]
    assert Recogniser().look(b"\x02" * LOOKED_AT + b"\0\0\1" + sequence, False) == ""
