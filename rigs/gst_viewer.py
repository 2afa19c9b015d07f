"""Viewers of any codec that nobody here wrote: GStreamer's WebRTC peer, which decodes what it is sent and counts it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rigs import gst_launch
from rigs.gst_camera import SYSTEM_PYTHON

PROGRAM = Path(__file__).with_name("gst_viewer_program.py")
DECODERS = {
    "H264": "rtph264depay ! h264parse ! avdec_h264",
    "H265": "rtph265depay ! h265parse ! avdec_h265",
    "VP8": "rtpvp8depay ! vp8dec",
    "L16": "rtpL16depay ! audioconvert ! audio/x-raw,format=S16LE,channels=1",
    "PCMU": "rtppcmudepay ! mulawdec ! audioconvert ! audio/x-raw,format=S16LE,channels=1",
    "OPUS": "rtpopusdepay ! opusdec ! audioconvert ! audio/x-raw,format=S16LE,channels=1",
}
SOUND_RATE = 16_000  # Hz, of L16
_FORMATS = {
    "L16": f"L16,media=audio,clock-rate={SOUND_RATE},encoding-params=(string)1",
    "PCMU": "PCMU,media=audio,clock-rate=8000",
    "OPUS": "OPUS,media=audio,clock-rate=48000,encoding-params=(string)2",
}
_IMPORTS = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import GstWebRTC"


def missing(codec: str) -> str:
    """The reason why there is no such viewer here, in a sentence; empty if there is one."""
    elements = f"webrtcbin ! nicesrc ! dtlsdec ! srtpdec ! {DECODERS[codec]}"
    if problem := gst_launch.missing(elements):
        return f"{problem} and gstreamer1.0-nice"
    found = subprocess.run([SYSTEM_PYTHON, "-c", _IMPORTS], capture_output=True, check=False).returncode == 0
    return "" if found else "Python lacks GstWebRTC: apt install gir1.2-gst-plugins-bad-1.0"


class GstViewer:
    """One viewer; made by ``gst_viewer``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.shown = 0  # pictures, or tenths of a second of sound
        self.size = (0, 0)  # of the last picture; of sound its rate and its tone, in Hz
        self._process = process

    async def shows(self, pictures: int) -> None:
        """Wait for so many more pictures, or tenths of a second."""
        assert self._process.stdout is not None
        until = self.shown + pictures
        while self.shown < until:
            line = await self._process.stdout.readline()
            assert line, "the viewer has ended"
            number, width, height = json.loads(line)
            self.shown, self.size = number + 1, (width, height)


@asynccontextmanager
async def gst_viewer(whep: str, codec: str) -> AsyncIterator[GstViewer]:
    """Watch by WHEP, and offer that codec alone."""
    form = _FORMATS.get(codec, f"{codec},media=video,clock-rate=90000")
    process = await asyncio.create_subprocess_exec(
        *(SYSTEM_PYTHON, str(PROGRAM), whep, form, DECODERS[codec]), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield GstViewer(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
