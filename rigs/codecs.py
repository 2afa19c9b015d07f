"""Pictures and tones in any codec that FFmpeg encodes, to feed to payload formats and converters."""

from __future__ import annotations

import math
import random
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import av

TONE = 440  # Hz
_NOISE = 8_192  # samples: a hundred pictures of 1080p and more


@dataclass(frozen=True, slots=True)
class Coded:
    """One encoded picture, in the order of decoding."""

    data: bytes
    number: int  # in the order of showing
    keyframe: bool


@dataclass(frozen=True, slots=True)
class Tone:
    """Encoded sound."""

    payloads: tuple[bytes, ...]
    seconds: float  # of sound in each


def row(number: int, width: int, step: int = 8) -> bytes:
    """Each line of a picture's brightness: it moves by ``step`` samples from one picture to the next."""
    noise = random.Random(1).randbytes(_NOISE)
    return bytes(byte // 2 for byte in noise[number * step : number * step + width])


@cache
def pictures(
    encoder: str, count: int = 20, *, width: int = 320, height: int = 240, pixels: str = "yuv420p", options: str = ""
) -> tuple[Coded, ...]:
    """A pattern that moves. ``options`` are the encoder's: ``key=value`` with blanks between."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.time_base, context.framerate, context.gop_size = Fraction(1, 30), Fraction(30), 10
    settings = dict(option.split("=", 1) for option in options.split())
    context.max_b_frames = int(settings.pop("bf", "0"))
    context.options = settings
    packets = []
    for number in range(count):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane, step in zip(frame.planes, (8, 4, 4), strict=True):  # colours have half as many samples
            plane.update(row(number, plane.width, step).ljust(plane.line_size, b"\0") * plane.height)
        frame = frame.reformat(format=pixels)
        frame.pts, frame.time_base = number, Fraction(1, 30)
        packets += context.encode(frame)
    packets += context.encode(None)
    return tuple(Coded(bytes(packet), packet.pts or 0, packet.is_keyframe) for packet in packets)


def record(path: Path, encoder: str, *, fps: int, seconds: int, size: tuple[int, int] = (320, 240)) -> None:
    """Write an MP4 file of pictures that move, without B-frames and with a keyframe every two seconds."""
    with av.open(path, "w") as file:
        stream = file.add_stream(encoder, rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.gop_size, stream.max_b_frames = *size, 2 * fps, 0
        if encoder == "libx265":
            stream.options = {"preset": "ultrafast", "x265-params": "bframes=0:log-level=none"}
        for number in range(fps * seconds):
            frame = av.VideoFrame(*size, "yuv420p")
            for plane, step in zip(frame.planes, (8, 4, 4), strict=True):
                plane.update(row(number % 600, plane.width, step).ljust(plane.line_size, b"\0") * plane.height)
            frame.pts, frame.time_base = number, Fraction(1, fps)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


@cache
def tone(encoder: str, seconds: float = 1.0, *, rate: int = 8_000, channels: int = 1, options: str = "") -> Tone:
    """A tone of ``TONE`` Hz, in packets of the encoder's choice, else of 20 ms."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.AudioCodecContext)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    context.sample_rate, context.layout = rate, layout
    assert context.codec.audio_formats
    context.format = context.codec.audio_formats[0].name
    context.options = dict(option.split("=", 1) for option in options.split())
    context.open()
    size = context.frame_size or rate // 50
    resampler = av.AudioResampler(context.format.name, layout, rate)
    packets = []
    for start in range(0, int(seconds * rate), size):
        samples = [int(8_000 * math.sin(2 * math.pi * TONE * at / rate)) for at in range(start, start + size)]
        frame = av.AudioFrame("s16", layout, size)
        data = struct.pack(f"<{size * channels}h", *(sample for sample in samples for _ in range(channels)))
        frame.planes[0].update(data.ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts = rate, start
        for resampled in resampler.resample(frame):
            packets += context.encode(resampled)
    return Tone(tuple(bytes(packet) for packet in packets), size / rate)


def layered_vp9(count: int = 5) -> list[list[bytes]]:
    """The frames of each picture of VP9 in three layers, the smallest first; each is a keyframe, and is shown."""
    options = "deadline=realtime cpu-used=8 lag-in-frames=0 g=1"
    layers = [
        pictures("libvpx-vp9", count, width=width, height=width * 3 // 4, options=options) for width in (160, 320, 640)
    ]
    return [[layer.data for layer in picture] for picture in zip(*layers, strict=True)]


def pitch(samples: list[int], rate: int = 48_000) -> float:
    """Hz of a tone in the second half of ``samples``: how often it crosses zero upwards. 0 for silence."""
    half = samples[len(samples) // 2 :]
    crossings = sum(1 for before, after in pairwise(half) if before < 0 <= after)
    return crossings * rate / len(half) if half and max(half) > 500 else 0.0
