"""A picture's codec is told by what comes, and nothing is told that is not proved."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from functools import cache

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.payload.recognise import LOOKED_AT, Recogniser
from rigs.camera import FakeTrack, h264_track
from rigs.codecs import Coded, pictures
from rigs.tracks import X265, h265_track, jpeg_track, mpeg2_track, mpeg4_track, vpx_track
from rigs.video import encode

VPX = "deadline=realtime cpu-used=8"


@cache
def sent() -> dict[str, FakeTrack]:
    """A second of each, encoded once; nobody changes it."""
    jpegs = [picture.data for picture in pictures("mjpeg", 10, pixels="yuvj420p", options="huffman=default")]
    return {
        "H264": h264_track(),
        "H265": h265_track(pictures("libx265", options=X265)),
        "JPEG": jpeg_track(jpegs),
        "VP8": vpx_track("VP8", pictures("libvpx", options=VPX)),
        "VP9": vpx_track("VP9", pictures("libvpx-vp9", options=VPX)),
        "MP4V-ES": mpeg4_track(pictures("mpeg4")),
        "MPV": mpeg2_track(coarse(10)),
    }


@cache
def coarse(quantiser: int) -> list[Coded]:
    """MPEG-2 of which every slice has the same quantiser: the byte that is a profile in H.264."""
    context = av.CodecContext.create("mpeg2video", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 320, 240, "yuv420p"
    context.time_base, context.gop_size, context.thread_count = Fraction(1, 25), 20, 1
    context.qmin = context.qmax = quantiser
    chance = random.Random(0)
    picture = bytes(128 + (7 * at % 97) // 2 - 24 + chance.randrange(-18, 18) for at in range(320 * 240))
    out = []
    for number in range(25):
        frame = av.VideoFrame(320, 240, "yuv420p")
        at = number * 5 + number * 640
        for plane, samples in zip(frame.planes, (picture[at:] + picture[:at], *[b"\x80" * 19_200] * 2), strict=True):
            plane.update(samples[: plane.buffer_size].ljust(plane.buffer_size, b"\x80"))
        frame.pts, frame.time_base = number, Fraction(1, 25)
        out += [Coded(bytes(packet), number, packet.is_keyframe) for packet in context.encode(frame)]
    return out


def said(track: FakeTrack) -> list[str]:
    """The answer to each packet."""
    recogniser = Recogniser()
    return [recogniser.look(packet.payload, packet.marker) for unit in track.units for packet in unit]


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["H264", "H265", "JPEG", "VP8", "VP9", "MP4V-ES", "MPV"])
def test_each_codec_is_told_by_its_packets_and_taken_for_no_other(codec: str) -> None:
    assert {each for each in said(sent()[codec]) if each} == {codec}


@pytest.mark.parametrize("quantiser", [8, 10, 15, 20, 31])
def test_slices_of_mpeg2_are_no_parameter_sets_of_h264_even_where_their_packets_say_nothing(quantiser: int) -> None:
    track = mpeg2_track(coarse(quantiser))
    track.units = [[replace(packet, payload=bytes(4) + packet.payload[4:]) for packet in unit] for unit in track.units]
    assert set(said(track)) <= {"", "MPV"}
    assert "MPV" in said(track)  # its sequence headers are proof enough


def test_fragments_of_h264_are_no_keyframes_of_vp8_or_vp9() -> None:
    chance, recogniser = random.Random(1), Recogniser()
    for _ in range(5_000):
        begin, mark = chance.choice([b"\x1c\1", b"\x3c\1"]), chance.choice([b"\x49\x83\x42", b"\x9d\1\x2a"])
        noise = chance.randbytes(chance.randrange(3, 40))
        assert recogniser.look(begin + noise + mark + chance.randbytes(50), False) == ""


@pytest.mark.parametrize(
    ("codec", "descriptor"),
    [
        ("VP8", "10"),
        ("VP8", "908005"),
        ("VP8", "b0f080051122"),
        ("VP9", "08"),
        ("VP9", "8811"),
        ("VP9", "889122"),
        ("VP9", "b8812233"),
        ("VP9", "2811aa"),
        ("VP9", "0a1805000200010409"),
    ],
)
def test_two_keyframes_of_vp8_or_vp9_prove_it_whatever_stands_before_them(codec: str, descriptor: str) -> None:
    frame = bytes.fromhex("1002009d012a" if codec == "VP8" else "82498342") + bytes(40)
    recogniser, payload = Recogniser(), bytes.fromhex(descriptor) + frame
    assert [recogniser.look(payload, True) for _ in range(2)] == ["", codec]
    shifted = bytes.fromhex(descriptor) + b"\x82" + frame
    assert [Recogniser().look(shifted, True) for _ in range(2)] == ["", ""]


def test_images_of_one_packet_each_are_told() -> None:
    small = [picture.data for picture in pictures("mjpeg", 5, width=32, height=32, pixels="yuvj420p")]
    assert said(jpeg_track(small))[-1] == "JPEG"


def test_parameter_sets_are_found_in_aggregates_and_behind_start_codes() -> None:
    [sequence, picture, slice_, *_] = encode()[0]
    aggregate = b"\x78" + b"".join(len(nal).to_bytes(2) + nal for nal in (sequence, picture))
    stream = b"\0\0\0\1".join((b"", b"\x09\xf0", sequence, picture, slice_))
    assert [Recogniser().look(payload, False) for payload in (aggregate, stream)] == ["H264", "H264"]


@pytest.mark.parametrize("begin", ["074d4d1e", "674d031e", "674d4d1e", "674d4db1"])
def test_parts_of_a_picture_that_begin_like_a_parameter_set_of_h264_are_none(begin: str) -> None:
    """MPEG-4 that a player's server cuts anywhere: one packet in a thousand reads as a parameter set."""
    chance = random.Random(2)
    size = 1_388 if begin == "674d4d1e" else 100
    payloads = [bytes.fromhex(begin) + chance.randbytes(size) for _ in range(200)]
    assert {Recogniser().look(payload, False) for payload in payloads} == {""}


@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_garbage_proves_nothing(payload: bytes, marker: bool) -> None:
    assert Recogniser().look(payload, marker) == ""


@pytest.mark.thorough
@given(st.data())
def test_damage_is_looked_at_without_harm(data: st.DataObject) -> None:
    track = sent()[data.draw(st.sampled_from(sorted(sent())))]
    packet = data.draw(st.sampled_from(track.units[0])).payload
    at, byte = data.draw(st.integers(0, len(packet) - 1)), data.draw(st.integers(0, 255))
    Recogniser().look(packet[:at] + bytes((byte,)) + packet[at + 1 :], True)


def test_no_more_is_looked_at_than_the_beginning() -> None:
    sequence = encode()[0][0]
    assert Recogniser().look(b"\x02" * LOOKED_AT + b"\0\0\1" + sequence, False) == ""
