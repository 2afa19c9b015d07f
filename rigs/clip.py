"""Short clips of a moving picture, encoded once and kept: what cameras of the tests and of the benchmark loop.

A clip is an Annex-B file whose every group of pictures starts with SPS, PPS and IDR, so that it can be looped and cut.
The picture is FFmpeg's ``testsrc2`` with noise, without which no encoder would spend the bits it is allowed. In its top
left corner stands each frame's number in black and white, so that who sees a frame can tell when it left the camera.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.filter

from rigs.video import kind, nal_units

FORMAT = 3  # part of the cache key: raise it when the same fields give other bytes
CODE_BITS = (
    12  # of a frame's number; before them stand a white and a black field, the least significant bit comes first
)
CODE_FIELDS = 16  # fields in the width of the picture, so a field is a sixteenth of it wide


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip to encode. The default is a usual 1080p camera."""

    width: int = 1920
    height: int = 1080
    fps: int = 30
    seconds: int = 8  # a multiple of the group of pictures, so that a loop has no seam
    bitrate: int = 4_000_000  # bit/s
    gop: int = 60  # frames from one IDR to the next
    profile: str = "baseline"  # x264's names: baseline, main, high
    noise: int = 12  # strength of the temporal noise; the more, the larger the keyframes: 12 gives 100 kB
    buffer: float = 1.0  # seconds of the bitrate that the encoder may save up for a keyframe

    @property
    def frames(self) -> int:
        """Access units in the file."""
        return self.fps * self.seconds

    def file(self, cache: Path) -> Path:
        """The encoded clip's path in ``cache``; encodes it if it is not there yet (some seconds for 1080p).

        Raises ``ValueError`` if the clip does not end with a whole group of pictures.
        """
        key = hashlib.sha256(repr((FORMAT, *astuple(self))).encode()).hexdigest()[:16]
        path = cache / f"{self.width}x{self.height}-{self.bitrate // 1000}k-{key}.h264"
        if not path.exists():
            if self.frames % self.gop:
                raise ValueError(f"{self.frames} frames are no multiple of a group of {self.gop}")
            cache.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(b"".join(_encode(self)))
            part.rename(path)  # whole or not at all, also with several encoders at once
        return path


SMALL = Clip(width=640, height=360, bitrate=800_000, seconds=4)
"""For tests that only need some picture."""

TINY = Clip(width=320, height=240, bitrate=400_000, seconds=4)
"""For tests that only need some packets."""


def access_units(path: Path) -> list[bytes]:
    """Each access unit of an Annex-B file that ``Clip.file`` made: they begin with an access unit delimiter."""
    data = path.read_bytes()
    delimiter = b"\0\0\0\1\x09"
    starts = []
    at = data.find(delimiter)
    while at >= 0:
        starts.append(at)
        at = data.find(delimiter, at + 5)
    return [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


def is_keyframe(access_unit: bytes) -> bool:
    """Whether an IDR slice is in it."""
    return any(kind(nal) == 5 for nal in nal_units(access_unit))


def _encode(clip: Clip) -> Iterator[bytes]:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = clip.width, clip.height, "yuv420p"
    encoder.framerate = Fraction(clip.fps)
    encoder.time_base = Fraction(1, clip.fps)
    encoder.bit_rate = clip.bitrate
    encoder.thread_count = 1  # the same bytes on every machine
    encoder.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "profile": clip.profile,
        "x264-params": ":".join(
            [
                f"keyint={clip.gop}:min-keyint={clip.gop}:scenecut=0:open-gop=0",
                f"vbv-maxrate={clip.bitrate // 1000}:vbv-bufsize={round(clip.bitrate * clip.buffer) // 1000}",
                "aud=1:repeat-headers=1:annexb=1:sliced-threads=0",
            ]
        ),
    }
    for frame in _pictures(clip):
        for packet in encoder.encode(frame):
            yield bytes(packet)
    for packet in encoder.encode(None):
        yield bytes(packet)


def _pictures(clip: Clip) -> Iterator[av.VideoFrame]:
    graph = av.filter.Graph()
    source = graph.add("testsrc2", f"size={clip.width}x{clip.height}:rate={clip.fps}:duration={clip.seconds}")
    noise = graph.add("noise", f"alls={clip.noise}:allf=t+u")
    side = clip.width // CODE_FIELDS
    chain = [source, noise, graph.add("drawbox", f"x=0:y=0:w={(CODE_BITS + 2) * side}:h={side}:color=black:t=fill")]
    chain.append(graph.add("drawbox", f"x=0:y=0:w={side}:h={side}:color=white:t=fill"))
    for bit in range(CODE_BITS):
        shown = f"eq(mod(floor(n/{1 << bit}),2),1)"
        box = f"x={(bit + 2) * side}:y=0:w={side}:h={side}:color=white:t=fill:enable='{shown}'"
        chain.append(graph.add("drawbox", box))
    chain += [graph.add("format", "pix_fmts=yuv420p"), graph.add("buffersink")]
    for a, b in itertools.pairwise(chain):
        a.link_to(b)
    graph.configure()
    for index in range(clip.frames):
        frame = graph.vpull()
        frame.pts = index
        frame.time_base = Fraction(1, clip.fps)
        frame.pict_type = av.video.frame.PictureType.NONE
        yield frame
