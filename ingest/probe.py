"""A look at one camera: does it play, and what does it send? One attempt, as a worker would make it."""

from __future__ import annotations

import asyncio

from common.cameras import CameraSpec, CameraState
from common.control import StreamReport
from common.log import get_logger
from ingest.camera import Camera, Shared

WATCH = 3.0  # seconds of media to look at: longer than most cameras' distance between keyframes


async def probe(spec: CameraSpec, *, watch: float = WATCH) -> StreamReport:
    """Pull the camera until it has failed, or for ``watch`` seconds after its media came: what it is like then.

    Takes as long as the attempt does, which is bounded by the session's own timeouts. Nothing is raised for what the
    camera does: that is the report's ``state``.
    """
    changed = asyncio.Event()
    camera = Camera(spec, Shared(lambda _id, _batches: None, lambda _id: None, changed.set), get_logger())
    async with asyncio.TaskGroup() as group:
        pulling = group.create_task(camera.run())
        while camera.report.state is CameraState.CONNECTING:
            await changed.wait()
            changed.clear()
        if camera.report.state is CameraState.PLAYING:
            await asyncio.sleep(watch)
        report = camera.report
        pulling.cancel()
    return report
