"""The clip that the camera loops: encoded picture by picture ahead of its showing, then kept in a file.

Encoding a minute takes some seconds, so a first start does not wait for it: it begins with the group of pictures that
is on now, and stays ahead of the clock. The finished clip goes into the user's cache; later starts load it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import msgpack

from camshaft.demo_camera.packets import split_nal_units, video_payloads
from camshaft.demo_camera.picture import Painter
from camshaft.demo_camera.settings import Audio, Settings
from camshaft.demo_camera.sound import pcm_frames, pcmu_frames

FORMAT = 1  # of the file; grows when the picture, the sound or the encoder's options change
KEPT_CLIPS = 6  # files in the cache: 15 MB each at 2 Mb/s
NICENESS = 10  # of the encoding thread: the cluster beside it comes first

_SPS, _PPS, _IDR = 7, 8, 5
_WANTED = {1, _IDR, _SPS, _PPS}  # no SEI: x264 writes its options into one


@dataclass(slots=True)
class Clip:
    """The payloads of each picture and of one second of sound. Pictures that are not encoded yet are ``None``."""

    settings: Settings
    pictures: list[list[bytes] | None] = field(repr=False)
    keyframes: list[bool] = field(repr=False)
    sound: list[bytes] = field(repr=False)
    sps: bytes = b""
    pps: bytes = b""

    @classmethod
    def empty(cls, settings: Settings) -> Clip:
        """A clip that is yet to be encoded, with its sound."""
        keyframes = [index % settings.gop_frames == 0 for index in range(settings.frames)]
        return cls(settings, [None] * settings.frames, keyframes, encode_sound(settings.audio))

    def encode(self, first: int, stop: threading.Event, on_picture: Callable[[], None]) -> bool:
        """Encode all pictures, beginning with the group that holds number ``first``.

        Blocks. ``on_picture`` is called after each. Returns whether it came to the end before ``stop`` was set.
        """
        settings = self.settings
        encoder = _encoder(settings)
        frame = av.VideoFrame(settings.width, settings.height, "yuv420p")
        painter = Painter(settings, (frame.planes[0].line_size, frame.planes[1].line_size, frame.planes[2].line_size))
        start = first // settings.gop_frames * settings.gop_frames
        for count in range(settings.frames):
            if stop.is_set():
                return False
            number = (start + count) % settings.frames
            picture = av.VideoFrame(settings.width, settings.height, "yuv420p")
            for plane, pixels in zip(picture.planes, (painter.luma(number), *painter.chroma), strict=True):
                plane.update(pixels)
            picture.pts = count
            if self.keyframes[number]:
                picture.pict_type = av.video.frame.PictureType.I
            for packet in encoder.encode(picture):  # exactly one: the encoder looks at nothing ahead
                self._store(number, bytes(packet))
            on_picture()
        return True

    def _store(self, number: int, unit: bytes) -> None:
        nal_units = [nal for nal in split_nal_units(unit) if nal[0] & 0x1F in _WANTED]
        for nal in nal_units:
            if nal[0] & 0x1F == _SPS:
                self.sps = nal
            elif nal[0] & 0x1F == _PPS:
                self.pps = nal
        self.pictures[number] = video_payloads(nal_units)

    def save(self) -> None:
        """Keep a finished clip. Raises ``OSError``."""
        path = _cache_file(self.settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(msgpack.packb([self.sps, self.pps, self.pictures]))
        temporary.replace(path)
        kept = sorted(path.parent.glob("demo-*.clip"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in kept[KEPT_CLIPS:]:
            file.unlink(missing_ok=True)

    @classmethod
    def load(cls, settings: Settings) -> Clip | None:
        """A clip from the cache; ``None`` if there is none that can be read."""
        path = _cache_file(settings)
        try:
            sps, pps, pictures = msgpack.unpackb(path.read_bytes())
            os.utime(path)
        except (OSError, TypeError, ValueError, msgpack.UnpackException):
            return None
        if len(pictures) != settings.frames:
            return None
        clip = cls.empty(settings)
        clip.sps, clip.pps, clip.pictures = sps, pps, pictures
        return clip


def _encoder(settings: Settings) -> av.VideoCodecContext:
    encoder = av.VideoCodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = settings.width, settings.height, "yuv420p"
    encoder.framerate = Fraction(settings.fps)
    encoder.time_base = 1 / Fraction(settings.fps)
    encoder.bit_rate = settings.bitrate
    encoder.gop_size = settings.frames + 1  # keyframes come where they are asked for
    encoder.thread_count = 1
    encoder.options = {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "baseline",  # every browser decodes it
        "x264-params": f"scenecut=0:vbv-maxrate={settings.bitrate // 1000}:vbv-bufsize={settings.bitrate // 1000}",
    }
    return encoder


def encode_sound(audio: Audio) -> list[bytes]:
    """The payloads of one second of sound, 20 ms each. They join to themselves."""
    if audio is Audio.NONE:
        return []
    if audio is Audio.PCMU:
        return pcmu_frames()
    encoder = av.AudioCodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = audio.clock_rate, "mono", "s16"
    encoder.bit_rate = 32_000
    payloads: list[bytes] = []
    frames = pcm_frames(audio.clock_rate)
    for index, samples in enumerate(frames * 3):
        frame = av.AudioFrame("s16", "mono", len(samples) // 2)
        frame.sample_rate, frame.pts = audio.clock_rate, index * frame.samples
        frame.planes[0].update(samples)
        payloads += map(bytes, encoder.encode(frame))
    # Of three seconds the middle one: the encoder has heard the sound before, and goes on hearing it.
    return payloads[len(frames) : 2 * len(frames)]


def _cache_file(settings: Settings) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = hashlib.sha256(f"{FORMAT} {settings!r}".encode()).hexdigest()[:16]
    return Path(base) / "camshaft" / f"demo-{name}.clip"
