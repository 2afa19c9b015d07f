"""A still is the keyframe that the camera sent, as a JPEG file."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from fractions import Fraction
from random import Random

import av
import pytest

from common.media import MAX_PAYLOAD, Batch, Flags, Kind, Track
from common.payload.assembler import AccessUnit
from common.payload.output import pieces
from ingest.payload.vpx import superframe
from rigs.codecs import layered_vp9, pictures
from transcode.padded import packet
from transcode.picture import DECODERS
from transcode.still import Still, draw
from transcode.worker import DECODED

ENCODERS = {
    "H264": ("libx264", "yuv420p"),
    "H265": ("libx265", "yuv420p10le"),
    "JPEG": ("mjpeg", "yuvj420p"),
    "MP4V-ES": ("mpeg4", "yuv420p"),
    "MPV": ("mpeg2video", "yuv420p"),
    "H263": ("h263p", "yuv420p"),
    "VP8": ("libvpx", "yuv420p"),
    "VP9": ("libvpx-vp9", "yuv420p"),
    "AV1": ("libsvtav1", "yuv420p"),
}


def keyframe(codec: str, **options: int) -> AccessUnit:
    encoder, pixels = ENCODERS[codec]
    return AccessUnit(pictures(encoder, 2, pixels=pixels, **options)[0].data, 0, 0, keyframe=True)


def opened(jpeg: bytes) -> av.VideoFrame:
    assert jpeg[:2] == b"\xff\xd8"
    assert jpeg[-2:] == b"\xff\xd9"
    with av.open(io.BytesIO(jpeg), format="mjpeg") as file:
        return next(file.decode(video=0))


def brightness(frame: av.VideoFrame) -> float:
    plane = frame.reformat(format="gray").planes[0]
    data = bytes(plane)
    return sum(data[: plane.line_size * frame.height]) / (plane.line_size * frame.height)


def test_of_several_layers_the_largest_is_drawn() -> None:
    frame = opened(draw(AccessUnit(superframe(layered_vp9(1)[0]), 0, 0, keyframe=True), "VP9", 0))
    assert (frame.width, frame.height) == (640, 480)


@pytest.mark.parametrize("codec", ENCODERS)
def test_a_keyframe_of_each_codec_becomes_a_picture(codec: str) -> None:
    frame = opened(draw(keyframe(codec), codec, 0))
    assert (frame.width, frame.height) == (320, 240)
    reference = brightness(opened(draw(keyframe("JPEG"), "JPEG", 0)))
    assert brightness(frame) == pytest.approx(reference, abs=6), "the same picture, as bright"


def test_every_codec_of_pictures_can_be_drawn() -> None:
    assert set(ENCODERS) == set(DECODERS) == DECODED


@pytest.mark.parametrize(
    ("height", "size"), [(120, (160, 120)), (480, (320, 240)), (1, (21, 16)), (99, (132, 99)), (0, (320, 240))]
)
def test_it_is_as_high_as_is_asked_for_and_never_higher_than_it_was(height: int, size: tuple[int, int]) -> None:
    frame = opened(draw(keyframe("H264"), "H264", height))
    assert (frame.width, frame.height) == size


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1\x65" + b"\x5a" * 3_000, b"\xff" * 50])
@pytest.mark.parametrize("codec", ["H264", "H265", "JPEG", "AV1"])
def test_what_is_no_picture_is_said(codec: str, data: bytes) -> None:
    with pytest.raises(ValueError, match="keyframe"):
        draw(AccessUnit(data, 0, 0, keyframe=True), codec, 0)


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ENCODERS)
def test_it_costs_little(codec: str) -> None:
    unit = keyframe(codec, width=1920, height=1080)
    assert any(cost(codec, unit) < 0.25 for _ in range(5)), "50 ms are promised, on a machine that others leave alone"


def cost(codec: str, unit: AccessUnit, work: Callable[[AccessUnit, str, int], object] = draw) -> float:
    """Seconds of CPU, of all threads."""
    began = time.process_time()
    work(unit, codec, 0)
    return time.process_time() - began


def batches(keyframes: set[int]) -> list[Batch]:
    made, sequence = [], 0
    for number, picture in enumerate(pictures("mjpeg", 4, pixels="yuvj420p")):
        payloads = pieces(picture.data, MAX_PAYLOAD)
        flags = int(Flags.UNIT_END | (Flags.KEYFRAME if number in keyframes else 0))
        made.append(Batch("video", "JPEG", 1, sequence, number * 3_000, number, number, flags, payloads))
        sequence += len(payloads)
    return made


def test_the_first_keyframe_is_taken_and_nothing_more() -> None:
    taken: list[AccessUnit] = []
    still = Still(Track(Kind.VIDEO, "JPEG", 90_000), taken.append)
    for batch in batches(keyframes={1, 3}):
        still.push(batch, 0.0)
    assert [unit.capture_ns for unit in taken] == [1]


def noisy(encoder: str, **options: str) -> bytes:
    """A keyframe of 1080p with more noise than any camera's."""
    context = av.VideoCodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt, context.time_base = 1920, 1080, "yuv420p", Fraction(1, 25)
    context.thread_count, context.options = 1, {"preset": "ultrafast"} | options
    frame, soft = av.VideoFrame(1920, 1080, "yuv420p"), bytes(112 + byte // 8 for byte in range(256))
    for number, plane in enumerate(frame.planes):
        plane.update(Random(number).randbytes(plane.buffer_size).translate(soft))
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def test_noise_costs_a_still_hardly_more_than_to_decode_it() -> None:
    unit = AccessUnit(noisy("libx264", crf="18"), 0, 0, keyframe=True)
    assert len(unit.data) > 500_000
    jpeg = draw(unit, "H264", 0)
    assert (opened(jpeg).height, len(jpeg) < len(unit.data) / 2) == (1080, True)
    whole, decoded = (min(cost("H264", unit, each) for _ in range(3)) for each in (draw, decode))
    assert whole < 1.7 * decoded


@pytest.mark.thorough
def test_a_still_of_noise_in_h265_is_no_larger_than_the_keyframe() -> None:
    unit = AccessUnit(noisy("libx265", crf="26", **{"x265-params": "log-level=none"}), 0, 0, keyframe=True)
    assert 200_000 < len(unit.data) < 350_000
    assert len(draw(unit, "H265", 0)) < len(unit.data)


def decode(unit: AccessUnit, codec: str, _: int) -> None:
    decoder = av.VideoCodecContext.create(DECODERS[codec], "r")
    decoder.thread_count = 1
    assert [*decoder.decode(packet(unit.data)), *decoder.decode(None)]
