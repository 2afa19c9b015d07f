"""Watches what comes of a camera."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType

import pytest

from common.cameras import CameraSpec, CameraState, TlsSpec
from common.control import StreamReport
from common.errors import CameraError
from common.log import get_logger
from common.media import Batch
from ingest.camera import Camera, Shared
from ingest.learnt import Memory
from ingest.retry import Attempts
from ingest.rtsp.client import Connection
from ingest.rtsp.opening import connected
from ingest.rtsp.url import RtspUrl
from rigs.camera import BOUND, FakeCamera
from rigs.video import units_of
from rigs.waiting import until


class Viewer:
    """Collects what a connection publishes."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.started = 0
        self._changed = asyncio.Event()

    def publish(self, batches: list[Batch]) -> None:
        self.batches += batches
        self._changed.set()

    def on_media(self, _connection: Connection) -> None:
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
    camera: FakeCamera,
    viewer: Viewer,
    *,
    udp: bool = False,
    url: str = "",
    tls: TlsSpec | None = None,
    bitrate: int = 1_000,
) -> AsyncIterator[Connection]:
    async with asyncio.timeout(2 * BOUND):
        async with connected(
            RtspUrl.parse(url or camera.url),
            tls or TlsSpec(),
            udp=udp,
            epoch=5,
            publish=viewer.publish,
            on_media=viewer.on_media,
            bitrate=bitrate,
        ) as connection:
            yield connection


class Pulled(Viewer):
    """A camera kept playing by its task, and everything that comes of it."""

    def __init__(self, url: str, *, memory: Memory | None = None, **spec: object) -> None:
        super().__init__()
        self.shared = Shared(self._publish, self._forget, self._changed.set, memory=memory or Memory())
        self.camera = Camera(CameraSpec("door", url, **spec), self.shared, get_logger())  # type: ignore[arg-type]
        self.camera._attempts = Attempts(lambda: 1.0)  # no test has time for bad luck
        self.forgotten = 0

    @property
    def state(self) -> CameraState:
        return self.camera.report.state

    async def __aenter__(self) -> Pulled:
        self._task = asyncio.create_task(self.camera.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def reached(self, state: CameraState) -> StreamReport:
        """Wait for a state."""
        await self.until(lambda: self.state is state)
        return self.camera.report

    async def until_report(self, condition: Callable[[StreamReport], bool]) -> None:
        """Wait for what only shows in the report: nothing tells of it."""
        await until(lambda: condition(self.camera.report), BOUND)

    def _publish(self, camera: str, batches: list[Batch]) -> None:
        assert camera == "door"
        self.publish(batches)

    def _forget(self, camera: str) -> None:
        self.forgotten += 1


async def error_of(camera: FakeCamera | str, *, udp: bool = False, tls: TlsSpec | None = None) -> CameraError:
    """The end of a session that cannot be."""
    target = camera if isinstance(camera, FakeCamera) else FakeCamera()
    url = camera if isinstance(camera, str) else camera.url
    with pytest.raises(CameraError) as caught:
        async with playing(target, Viewer(), udp=udp, url=url, tls=tls) as connection:
            await connection.ended()
    return caught.value
