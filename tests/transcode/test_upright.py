"""A converted picture, and a still, is turned and shaped as its stream says that it is to be seen."""

from __future__ import annotations

import gc
import io
from fractions import Fraction
from functools import cache

import av
import pytest

from common.payload.access_unit import access_unit
from common.payload.assembler import AccessUnit
from rigs.codecs import pictures
from rigs.video import nal_units
from transcode.picture import PictureConverter, made_size
from transcode.still import draw

WIDTH, HEIGHT = 320, 240
START_NS = 1_700_000_000_000_000_000
BRIGHT = 128


@cache
def coded(options: str = "", encoder: str = "libx264") -> bytes:
    """A keyframe, bright in its upper left quarter."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate, context.max_b_frames = Fraction(1, 25), Fraction(25), 0
    context.options = dict(option.split("=", 1) for option in options.split())
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, level in zip(frame.planes, (230, BRIGHT, BRIGHT), strict=True):
        upper = (bytes((level,)) * (plane.width // 2)).ljust(plane.line_size, b"\x10" if level == 230 else b"\x80")
        lower = (b"\x10" if level == 230 else b"\x80") * plane.line_size
        plane.update(upper * (plane.height // 2) + lower * (plane.height - plane.height // 2))
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def orientation(degrees: int, *, across: bool = False, down: bool = False) -> bytes:
    """A display orientation message (H.264 D.1.27), in a NAL unit of H.264."""
    bits = f"0{across:d}{down:d}{degrees * 65_536 // 360:016b}" + "010" + "0" + "1"
    payload = int(bits.ljust(32, "0"), 2).to_bytes(4)
    return b"\0\0\0\1\x06\x2f" + bytes((len(payload),)) + payload.replace(b"\0\0", b"\0\0\3") + b"\x80"


def shown(degrees: int, *, across: bool, down: bool) -> tuple[int, int]:
    """The place of the bright quarter: -1 or 1 to the right, and down. Mirrored first, then turned left."""
    x, y = (1 if across else -1), (1 if down else -1)
    for _ in range(degrees // 90):
        x, y = y, -x
    return x, y


def bright(frame: av.VideoFrame) -> tuple[int, int]:
    plane = frame.reformat(format="gray").planes[0]
    data, width, height = bytes(plane), frame.width, frame.height
    places = [
        (x, y)
        for x in (-1, 1)
        for y in (-1, 1)
        if data[(2 + y) * height // 4 * plane.line_size + (2 + x) * width // 4] > BRIGHT
    ]
    [place] = places
    return place


def converted(codec: str, data: bytes, count: int = 2) -> list[av.VideoFrame]:
    converter, decoder = PictureConverter(codec), av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    units = [AccessUnit(data, START_NS + number * 40_000_000, 0, True) for number in range(count)]
    made = [each for unit in units for each in converter.convert(unit)]
    return [frame for each in made for frame in decoder.decode(av.Packet(access_unit("H264", each.payloads)))]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("down", [False, True])
def test_it_is_turned_and_mirrored(degrees: int, across: bool, down: bool) -> None:
    nals = [b"\0\0\0\1" + nal for nal in nal_units(coded())]  # as they come from the bus
    first = next(at for at, nal in enumerate(nals) if nal[4] & 0x1F == 5)
    data = b"".join([*nals[:first], orientation(degrees, across=across, down=down), *nals[first:]])
    size = (WIDTH, HEIGHT) if degrees % 180 == 0 else (HEIGHT, WIDTH)
    frames = converted("H264", data)
    with av.open(io.BytesIO(draw(AccessUnit(data, 0, 0, True), "H264", 0)), format="mjpeg") as file:
        frames.append(next(file.decode(video=0)))
    for frame in frames:
        assert (frame.width, frame.height) == size
        assert bright(frame) == shown(degrees, across=across, down=down)
    assert len(frames) == 3


def test_a_stream_that_is_turned_anew_with_each_picture_keeps_no_memory() -> None:
    nals = [b"\0\0\0\1" + nal for nal in nal_units(coded())]
    datas = [b"".join([*nals[:-1], orientation(degrees), nals[-1]]) for degrees in (90, 180)]
    converter = PictureConverter("H264")
    gc.collect()
    gc.disable()
    try:
        for number in range(20):
            unit = AccessUnit(datas[number % 2], START_NS + number * 40_000_000, 0, True)
            assert converter.convert(unit)
        assert sum(isinstance(each, av.VideoFrame) for each in gc.get_objects()) <= 3
    finally:
        gc.enable()


def test_pictures_are_turned_from_one_message_to_the_next() -> None:
    said = {0: orientation(90), 20: orientation(0)}
    converter = PictureConverter("H264")
    sizes = []
    for number, picture in enumerate(
        pictures("libx264", 30, options="preset=ultrafast tune=zerolatency sc_threshold=0")
    ):
        nals = [b"\0\0\0\1" + nal for nal in nal_units(picture.data)]  # as they come from the bus
        first = next(at for at, nal in enumerate(nals) if nal[4] & 0x1F in (1, 5))
        data = b"".join([*nals[:first], said.get(number, b""), *nals[first:]])
        assert converter.convert(AccessUnit(data, START_NS + number * 40_000_000, 0, picture.keyframe))
        sizes.append(converter.size)
    assert sizes == [(HEIGHT, WIDTH)] * 20 + [(WIDTH, HEIGHT)] * 10


@pytest.mark.parametrize(
    ("codec", "encoder", "options"),
    [
        ("H264", "libx264", "x264-params=sar=16\\:11"),
        ("H265", "libx265", "x265-params=sar=16\\:11:log-level=none"),
    ],
)
def test_its_pixels_become_square(codec: str, encoder: str, options: str) -> None:
    data = coded(options, encoder)
    assert {(frame.width, frame.height) for frame in converted(codec, data)} == {(464, HEIGHT)}
    with av.open(io.BytesIO(draw(AccessUnit(data, 0, 0, True), codec, 120)), format="mjpeg") as file:
        frame = next(file.decode(video=0))
    assert (frame.width, frame.height) == (232, 120)


@pytest.mark.parametrize(
    ("size", "aspect", "wanted"),
    [
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((704, 480), Fraction(10, 11), (640, 480)),
        ((352, 576), Fraction(24, 11), (768, 576)),
        ((4_096, 2_160), Fraction(2), (4_096, 1_080)),
    ],
)
def test_the_size_of_square_pixels(size: tuple[int, int], aspect: Fraction, wanted: tuple[int, int]) -> None:
    assert made_size(*size, aspect=aspect) == wanted


@pytest.mark.parametrize("aspect", ["1:1", "100:101", "1:9", "9:1"])
def test_a_shape_that_is_square_or_a_slip_changes_nothing(aspect: str) -> None:
    data = coded("x264-params=sar=" + aspect.replace(":", "\\:"))
    assert {(frame.width, frame.height) for frame in converted("H264", data)} == {(WIDTH, HEIGHT)}


def test_its_colours_are_what_they_were_said_to_be() -> None:
    data = coded("x264-params=colorprim=bt709:colormatrix=bt709:transfer=bt709:fullrange=on")
    [frame, *_] = converted("H264", data)
    assert (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc) == (2, 1, 1, 1)
