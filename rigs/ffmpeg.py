"""The program ``ffmpeg`` as a source that is no RTSP camera: it listens, or writes what another serves."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

FPS = 25
TONE = 440  # Hz

H264 = f"-c:v libx264 -preset ultrafast -tune zerolatency -g {FPS} -pix_fmt yuv420p -b:v 600k"
MJPEG = "-c:v mjpeg -q:v 6 -pix_fmt yuvj420p"
AAC = "-c:a aac -b:a 64k"

_PICTURE = f"-f lavfi -i testsrc2=size=320x240:rate={FPS}"
_SOUND = f"-f lavfi -i sine=frequency={TONE}:sample_rate=44100"


def missing() -> str:
    """Why it cannot be run here; empty if it can."""
    return "" if shutil.which("ffmpeg") else "needs ffmpeg"


def command(output: str, *, sound: bool = True, seconds: float | None = None) -> list[str]:
    """The command that plays a picture, and a tone, to what ``output`` says: in real time without end, or at once for
    so many seconds."""
    inputs = f"{_PICTURE} {_SOUND}" if sound else _PICTURE
    pace = "-re" if seconds is None else ""
    inputs = inputs.replace("-f lavfi", f"{pace} -f lavfi") if pace else inputs
    length = f"-t {seconds:g}" if seconds is not None else ""
    return ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *f"{inputs} {length} {output}".split()]


@contextmanager
def ffmpeg(output: str, *, sound: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """Have it play until the block is left."""
    process = subprocess.Popen(command(output, sound=sound), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def record(output: str, *, seconds: float, sound: bool = True) -> None:
    """Have it write a file. Raises ``CalledProcessError``."""
    subprocess.run(command(output, sound=sound, seconds=seconds), check=True, capture_output=True)
