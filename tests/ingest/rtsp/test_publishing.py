"""A read's packets are published at once, and in one where they are whole."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop

from rigs.camera import FakeCamera, h264_track
from tests.fakes.viewer import Viewer, playing


@pytest.mark.parametrize("udp", [False, True])
async def test_an_access_unit_is_published_in_one(udp: bool) -> None:
    viewer = Viewer()
    async with FakeCamera(interval=0.02) as camera, playing(camera, viewer, udp=udp):
        await viewer.watch(30)
    parts = [batch for batch in viewer.batches if not batch.unit_end]
    assert len(parts) < 15  # none but where a busy machine took its time


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_beginning_of_a_unit_does_not_wait_for_its_end(udp: bool, loop: Any) -> None:
    async def watch() -> None:
        viewer = Viewer()
        track = h264_track(size=600)
        track.units = [track.units[0][:-1]]
        async with FakeCamera([track], interval=3_600) as camera, playing(camera, viewer, udp=udp):
            await viewer.until(lambda: bool(viewer.batches))
        assert not viewer.batches[0].unit_end

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(watch())
