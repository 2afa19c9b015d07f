"""Cameras of any codec that nobody here wrote: GStreamer encodes, packetises and serves each of them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from rigs.codecs import record
from rigs.gst_camera import SYSTEM_PYTHON

SERVER = Path(__file__).with_name("gst_launch_server.py")
FPS = 25
TONE = 440  # Hz

_PICTURE = (
    "videotestsrc is-live=true pattern=ball"
    " ! video/x-raw,width={width},height={height},framerate={fps}/1,format={pixels}"
)
_SOUND = (
    "audiotestsrc is-live=true freq={tone} ! audioconvert ! audioresample ! audio/x-raw,rate={rate},channels={channels}"
)

_RECORDING = "{recording}"  # stands for the file, until a server is started
_RECORDED_SECONDS = 60


def missing(pipeline: str) -> str:
    """The elements of a pipeline that are not installed here, in a sentence; empty if all are."""
    elements = {part.split()[0] for part in pipeline.split("!") if "/" not in part.split()[0]}
    found = {
        name: not subprocess.run(["gst-inspect-1.0", name], capture_output=True, check=False).returncode
        for name in elements
    }
    lacking = sorted(name for name, there in found.items() if not there)
    return f"GStreamer lacks {', '.join(lacking)}: apt install gstreamer1.0-libav and its plugins" if lacking else ""


def picture(encoder: str, *, pixels: str = "I420", size: tuple[int, int] = (320, 240)) -> str:
    """A moving ball. ``encoder`` is the rest of the pipeline, up to a payloader."""
    shape = _PICTURE.format(fps=FPS, pixels=pixels, width=size[0], height=size[1])
    return f"{shape} ! {encoder} name=pay0 pt=96"


def recorded(payloader: str) -> str:
    """A minute from a file, for what GStreamer cannot encode, or not cheaply. ``payloader`` begins with a parser."""
    return f"filesrc location={_RECORDING} ! qtdemux ! {payloader} name=pay0 pt=96"


def sound(encoder: str, *, rate: int, channels: int = 1, track: int = 1, pt: int = 97) -> str:
    """A tone. ``track`` is its place in the session description."""
    return f"{_SOUND.format(tone=TONE, rate=rate, channels=channels)} ! {encoder} name=pay{track} pt={pt}"


class GstLaunch:
    """A context manager; inside it each pipeline is a camera, whose address is in ``urls``.

    Where one is ``recorded``, the ``recording`` is made by that ``encoder`` of FFmpeg's.
    """

    def __init__(
        self,
        pipelines: Sequence[str],
        *,
        encoder: str = "mpeg4",
        fps: int = FPS,
        size: tuple[int, int] = (320, 240),
    ) -> None:
        self.urls: list[str] = []
        self.recording: Path | None = None
        self._encode = partial(record, encoder=encoder, fps=fps, seconds=_RECORDED_SECONDS, size=size)
        self._pipelines = pipelines
        self._process: subprocess.Popen[str] | None = None
        self._directory: TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        pipelines = self._pipelines
        if any(_RECORDING in pipeline for pipeline in pipelines):
            self._directory = TemporaryDirectory()
            self.recording = Path(self._directory.name) / "recording.mp4"
            self._encode(self.recording)
            pipelines = [pipeline.replace(_RECORDING, str(self.recording)) for pipeline in pipelines]
        command = [SYSTEM_PYTHON, str(SERVER), *pipelines]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        self.urls = [f"rtsp://127.0.0.1:{port}/{number}" for number in range(len(self._pipelines))]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=10)
        if self._directory is not None:
            self._directory.cleanup()
