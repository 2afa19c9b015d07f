"""The client against cameras on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from common.cameras import TlsSpec
from common.media import Batch
from ingest.rtsp.client import Connection, connected
from ingest.rtsp.url import RtspUrl
from tests.fakes.camera import BOUND, FakeCamera, h264_track, opus_track
from tests.fakes.video import encode, units_of

UNITS = encode()
WANTED = [list(unit) for unit in UNITS]


class Viewer:
    """Collects what a connection publishes."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.reads = 0
        self.started = 0
        self._changed = asyncio.Event()

    def publish(self, batches: list[Batch]) -> None:
        self.batches += batches
        self.reads += 1
        self._changed.set()

    def on_media(self) -> None:
        self.started += 1

    def of(self, kind: str) -> list[Batch]:
        return [batch for batch in self.batches if batch.kind == kind]

    def units(self) -> list[list[bytes]]:
        """Whole access units so far."""
        video = self.of("video")
        while video and not video[-1].unit_end:
            video.pop()
        return units_of(video)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def watch(self, frames: int = 40) -> list[list[bytes]]:
        """Wait for so many frames."""
        await self.until(lambda: sum(batch.unit_end for batch in self.of("video")) >= frames)
        return self.units()[:frames]


@asynccontextmanager
async def playing(
    camera: FakeCamera, viewer: Viewer, *, udp: bool = False, url: str = "", tls: TlsSpec | None = None
) -> AsyncIterator[Connection]:
    async with asyncio.timeout(2 * BOUND):
        async with connected(
            RtspUrl.parse(url or camera.url),
            tls or TlsSpec(),
            udp=udp,
            epoch=5,
            publish=viewer.publish,
            on_media=viewer.on_media,
        ) as connection:
            yield connection


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_plays(udp: bool, host: str) -> None:
    viewer = Viewer()
    async with FakeCamera([h264_track(), opus_track()], host=host) as camera:
        async with playing(camera, viewer, udp=udp) as connection:
            assert await viewer.watch() == (WANTED * 2)[:40]
            assert viewer.started == 1
            assert [track.codec for track in connection.tracks] == ["H264", "opus"]
            video, audio = (receiver.stats for receiver in connection.stream.receivers)
            assert (video.lost, video.dropped, audio.lost, audio.dropped) == (0, 0, 0, 0)
            assert len(viewer.of("audio")) > 30
            assert {batch.epoch for batch in viewer.batches} == {5}
        await camera.asked("TEARDOWN")
    assert camera.methods == ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY", "TEARDOWN"]
