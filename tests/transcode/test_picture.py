"""Pictures that FFmpeg decodes come out as H.264 that every browser plays, one by one."""

from __future__ import annotations

import gc
import random
import time
from fractions import Fraction
from itertools import pairwise

import av
import pytest

from common.media import MAX_PAYLOAD
from common.payload.access_unit import access_unit
from common.payload.assembler import AccessUnit
from ingest.payload.vpx import superframe
from rigs.codecs import Coded, layered_vp9, pictures, row
from transcode.conversion import Made
from transcode.picture import KEYFRAME_INTERVAL, MAX_REORDER, MIN_SIZE, PictureConverter, made_size

FRAME_NS = 33_333_333
START_NS = 1_700_000_000_000_000_000
X265 = "preset=ultrafast x265-params=log-level=none:bframes=0:keyint=10:min-keyint=10:scenecut=0"


def units(coded: tuple[Coded, ...]) -> list[AccessUnit]:
    times = [START_NS + picture.number * FRAME_NS for picture in coded]
    return [AccessUnit(c.data, at, at + 5, c.keyframe) for c, at in zip(coded, times, strict=True)]


def convert(codec: str, coded: tuple[Coded, ...], **settings: int) -> tuple[PictureConverter, list[list[Made]]]:
    converter = PictureConverter(codec, **settings)
    return converter, [converter.convert(unit) for unit in units(coded)]


def decoded(made: list[Made]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    return [frame for p in made for frame in decoder.decode(av.Packet(access_unit("H264", p.payloads)))]


@pytest.mark.parametrize(
    ("codec", "encoder", "pixels", "options"),
    [
        ("H265", "libx265", "yuv420p", X265),
        ("H265", "libx265", "yuv420p10le", X265),
        ("H264", "libx264", "yuv422p10le", "preset=ultrafast tune=zerolatency"),
        ("VP8", "libvpx", "yuv420p", "deadline=realtime cpu-used=8"),
        ("VP9", "libvpx-vp9", "yuv420p", "deadline=realtime cpu-used=8"),
        ("AV1", "libsvtav1", "yuv420p", "preset=12 svtav1-params=pred-struct=1"),
        ("JPEG", "mjpeg", "yuvj420p", ""),
        ("MP4V-ES", "mpeg4", "yuv420p", ""),
        ("H263", "h263p", "yuv420p", ""),
    ],
)
def test_each_picture_comes_out_at_once(codec: str, encoder: str, pixels: str, options: str) -> None:
    coded = pictures(encoder, pixels=pixels, options=options)
    converter, out = convert(codec, coded)
    assert [len(made) for made in out] == [1] * len(coded)
    made = [picture for each in out for picture in each]
    assert [picture.capture_ns for picture in made] == [START_NS + n * FRAME_NS for n in range(len(coded))]
    assert all(picture.arrival_ns == picture.capture_ns + 5 for picture in made)
    shown = decoded(made)
    assert len(shown) == len(coded)
    assert {(frame.width, frame.height, frame.format.name) for frame in shown} <= {
        (320, 240, "yuv420p"),
        (320, 240, "yuvj420p"),
    }
    sequence = access_unit("H264", made[0].payloads)[4:8]
    assert sequence[:2] == b"\x67\x42", "Baseline"
    assert sequence[2] & 0x40, "constrained"
    assert all(len(payload) <= MAX_PAYLOAD for picture in made for payload in picture.payloads)
    assert converter.size == (320, 240)


def test_of_several_layers_the_largest_is_made() -> None:
    coded = tuple(Coded(superframe(frames), number, True) for number, frames in enumerate(layered_vp9()))
    converter, out = convert("VP9", coded)
    assert [len(made) for made in out] == [1] * len(coded)
    assert (converter.size, converter.undecodable) == ((640, 480), 0)


def test_pictures_that_a_decoder_swallows_are_counted() -> None:
    noise, begin = random.Random(1), pictures("libx265", options=X265)[0]
    sets = begin.data[: begin.data.rindex(b"\0\0\1")]  # the parameter sets, without the slice
    coded = [Coded(sets + b"\0\0\1\x26\x01" + noise.randbytes(300), number, True) for number in range(100)]
    converter, out = convert("H265", tuple(coded))
    assert not any(out)
    assert converter.undecodable >= 100 - MAX_REORDER


def test_intra_refresh_is_shown_from_when_all_of_the_picture_has_been_renewed() -> None:
    coded = pictures("libx264", options="preset=ultrafast tune=zerolatency intra-refresh=1 g=10")
    converter, out = convert("H264", coded[10:])
    first = next(number for number, made in enumerate(out) if made)
    assert 5 <= first <= 10
    assert [len(made) for made in out[first:]] == [1] * (len(coded) - 10 - first)
    assert out[first][0].keyframe
    assert converter.undecodable == 0


@pytest.mark.parametrize(
    ("codec", "encoder", "options"),
    [
        ("H264", "libx264", "preset=veryfast bf=2 b_strategy=0 sc_threshold=0"),
        ("H265", "libx265", "preset=ultrafast x265-params=log-level=none:bframes=2:b-adapt=0:keyint=10:scenecut=0"),
        ("MPV", "mpeg2video", "bf=2"),
        ("MP4V-ES", "mpeg4", "bf=2"),
    ],
)
def test_pictures_that_come_in_another_order_are_put_right_within_two(codec: str, encoder: str, options: str) -> None:
    coded = pictures(encoder, options=options)
    assert [picture.number for picture in coded] != sorted(picture.number for picture in coded)
    converter, out = convert(codec, coded)
    made = [picture for each in out for picture in each]
    assert all(after.capture_ns - before.capture_ns > FRAME_NS // 2 for before, after in pairwise(made))
    assert len(made) >= len(coded) - 2
    assert converter.undecodable == 0
    assert [number_in(frame) for frame in decoded(made)] == list(range(len(made)))


def test_mpeg_2_comes_out_whole() -> None:
    coded = pictures("mpeg2video")
    converter, out = convert("MPV", coded)
    made = [picture for each in out for picture in each]
    assert len(decoded(made)) == len(made) >= len(coded) - 1, "its decoder holds one back"
    assert converter.undecodable == 0


def number_in(frame: av.VideoFrame) -> int:
    """The number of the rig's picture, by how far its pattern has moved."""
    line = bytes(frame.reformat(format="gray").planes[0])[: frame.width]
    differences = [sum(abs(a - b) for a, b in zip(line, row(number, frame.width), strict=True)) for number in range(20)]
    return differences.index(min(differences))


def test_keyframes_stand_where_the_source_has_them() -> None:
    coded = pictures("libx265", 40, options=X265.replace("keyint=10:min-keyint=10", "keyint=20:min-keyint=20"))
    _, out = convert("H265", coded)
    assert [each[0].keyframe for each in out] == [picture.keyframe for picture in coded]
    assert sum(each[0].keyframe for each in out) == 2


@pytest.mark.parametrize(
    ("codec", "encoder", "pixels"), [("H264", "libx264", "yuv420p"), ("JPEG", "mjpeg", "yuvj420p")]
)
def test_pictures_that_were_converted_keep_no_memory(codec: str, encoder: str, pixels: str) -> None:
    """PyAV's pictures and their side data hold each other, and the collector comes after hundreds of both."""
    coded = pictures(encoder, 40, pixels=pixels)
    gc.collect()
    gc.disable()
    try:
        convert(codec, coded)
        assert sum(isinstance(each, av.VideoFrame) for each in gc.get_objects()) <= 2
    finally:
        gc.enable()


def test_a_source_of_keyframes_alone_gets_one_each_two_seconds() -> None:
    coded = pictures("mjpeg", 90, pixels="yuvj420p")
    _, out = convert("JPEG", coded)
    times = [each[0].capture_ns // 1000 for each in out if each[0].keyframe]
    assert len(times) == 2
    assert times[1] - times[0] >= KEYFRAME_INTERVAL


def test_a_picture_higher_than_allowed_is_made_smaller() -> None:
    converter, out = convert("JPEG", pictures("mjpeg", 2, width=640, height=480, pixels="yuvj420p"), max_height=270)
    assert converter.size == (360, 270)
    assert {(frame.width, frame.height) for frame in decoded([p for each in out for p in each])} == {(360, 270)}


def test_a_picture_that_is_not_shown_is_decoded_for_the_next_ones() -> None:
    coded = pictures("libx265", 30, options=X265)
    converter = PictureConverter("H265")
    out = [converter.convert(unit, show=n == 2 or n > 22) for n, unit in enumerate(units(coded))]
    assert [len(made) for made in out] == [0, 0, 1] + [0] * 20 + [1] * 7
    made = [picture for each in out for picture in each]
    assert [picture.keyframe for picture in made[:3]] == [True, True, False], "the source's of 20 was not shown"
    assert len(decoded(made)) == len(made)


def test_a_change_of_resolution_begins_with_a_keyframe() -> None:
    converter = PictureConverter("JPEG")
    coded = (*pictures("mjpeg", 3, pixels="yuvj420p"), *pictures("mjpeg", 3, width=160, height=128, pixels="yuvj420p"))
    made = [converter.convert(AccessUnit(c.data, START_NS + n * FRAME_NS, 0, True))[0] for n, c in enumerate(coded)]
    assert [picture.keyframe for picture in made] == [True, False, False, True, False, False]
    assert [frame.width for frame in decoded(made)] == [320] * 3 + [160] * 3


def test_fields_become_whole_pictures() -> None:
    coded = pictures("libx264", options="preset=ultrafast tune=zerolatency x264-params=interlaced=1:bframes=0")
    converter, out = convert("H264", coded)
    shown = decoded([picture for each in out for picture in each])
    assert len(shown) >= len(coded) - 1
    assert not any(frame.interlaced_frame for frame in shown)
    assert converter.undecodable == 0


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\1", b"\0\0\0\1\x65garbage", bytes(range(256)) * 40])
def test_garbage_gives_no_picture_and_what_follows_is_fine(data: bytes) -> None:
    converter = PictureConverter("H264")
    converter.convert(AccessUnit(data, START_NS, START_NS, True))
    coded = pictures("libx264", options="preset=ultrafast tune=zerolatency")
    made = [p for unit in units(coded) for p in converter.convert(unit)]
    assert len(made) >= len(coded) - 1


def test_a_picture_too_small_to_encode_is_made_larger() -> None:
    coded = pictures("mjpeg", 1, width=MIN_SIZE // 2, height=MIN_SIZE // 2, pixels="yuvj420p")
    converter, [[made]] = convert("JPEG", coded)
    assert [(frame.width, frame.height) for frame in decoded([made])] == [(MIN_SIZE, MIN_SIZE)]
    assert converter.undecodable == 0


@pytest.mark.parametrize(
    ("size", "max_height", "wanted"),
    [
        ((1920, 1080), 0, (1920, 1080)),
        ((1920, 1080), 720, (1280, 720)),
        ((640, 480), 720, (640, 480)),
        ((641, 481), 0, (640, 480)),
        ((3840, 2160), 0, (3840, 2160)),
        ((2160, 3840), 0, (2160, 3840)),
        ((7680, 4320), 0, (4096, 2304)),
        ((8, 8), 0, (16, 16)),
        ((64, 8), 0, (128, 16)),
        ((7680, 2160), 0, (4096, 1152)),
        ((1080, 5120), 0, (864, 4096)),
        ((16_000, 2), 0, (4096, 16)),
    ],
)
def test_a_picture_has_its_own_size_where_browsers_take_that(
    size: tuple[int, int], max_height: int, wanted: tuple[int, int]
) -> None:
    assert made_size(*size, max_height) == wanted


def test_times_that_go_back_do_not_stop_it_and_go_on_in_what_is_made() -> None:
    converter, times = PictureConverter("JPEG"), []
    [coded] = pictures("mjpeg", 1, pixels="yuvj420p")
    for at in (5, 3, 3, 4, 7):
        [made] = converter.convert(AccessUnit(coded.data, START_NS + at * FRAME_NS, 0, True))
        times.append(made.capture_ns)
    assert all(after - before >= 10**9 // 90_000 for before, after in pairwise(times)), "RTP tells each from the next"
    assert times[-1] == START_NS + 7 * FRAME_NS


@pytest.mark.thorough
def test_a_conversion_takes_little_more_than_its_codecs_alone() -> None:
    coded = pictures("libx265", 30, width=1280, height=720, options=X265)

    def alone() -> float:
        decoder, begun = av.CodecContext.create("hevc", "r"), time.thread_time()
        encoder = av.CodecContext.create("libx264", "w")
        assert isinstance(decoder, av.VideoCodecContext)
        assert isinstance(encoder, av.VideoCodecContext)
        decoder.thread_count = encoder.thread_count = 1
        encoder.width, encoder.height, encoder.pix_fmt = 1280, 720, "yuv420p"
        encoder.time_base = Fraction(1, 30)
        encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "25"}
        for picture in coded:
            for frame in decoder.decode(av.Packet(picture.data)):
                frame.pts = picture.number
                encoder.encode(frame)
        return time.thread_time() - begun

    def whole() -> float:
        converter, begun = PictureConverter("H265"), time.thread_time()
        for unit in units(coded):
            converter.convert(unit)
        return time.thread_time() - begun

    both = []
    while not both or min(each for each, _ in both) >= 1.25 * min(each for _, each in both):
        assert len(both) < 10, both
        both.append((whole(), alone()))
