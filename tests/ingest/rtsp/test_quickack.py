"""Bytes that came are acknowledged at once."""

from __future__ import annotations

import asyncio
import os
import socket
from itertools import pairwise
from time import time_ns
from typing import Any

import pytest
import uvloop

from common.media import Kind
from ingest.rtsp import client, media
from ingest.rtsp.quickack import QuickAck
from rigs.camera import FakeCamera, h264_track, opus_track
from tests.fakes.viewer import Viewer, playing


@pytest.mark.thorough
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_camera_with_nagles_algorithm_does_not_wait_for_us(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "REPORT_INTERVAL", 0.0)  # what we send makes the kernel slow to acknowledge
    monkeypatch.setattr(client, "TICK", 0.02)

    turns: list[int] = []  # when this loop had its turn, Unix time in ns

    async def take_turns() -> None:
        while True:
            turns.append(time_ns())
            await asyncio.sleep(0.002)

    def had_its_turns(before: int, after: int) -> bool:
        """Whether the machine let this process go on all the time."""
        there = [before, *(turn for turn in turns if before < turn < after), after]
        return max(b - a for a, b in pairwise(there)) < 20_000_000

    async def watch() -> None:
        viewer = Viewer()
        camera = FakeCamera([h264_track(size=300), opus_track()], interval=0.033, nagle=True)
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(take_turns())
            async with camera, playing(camera, viewer):
                await viewer.watch(80)
            taking.cancel()
        came = [batch.arrival_ns for batch in viewer.batches if batch.unit_end and batch.kind == Kind.VIDEO]
        together = sum(b - a < 5_000_000 for a, b in pairwise(came) if had_its_turns(a - 40_000_000, b))
        assert together < 10  # else one waits for our acknowledgement until the next is there: 30 of 80

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(watch())


def test_a_connection_that_was_not_ended_keeps_its_descriptor() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = asyncio.Transport({"socket": ours})
        quickack = QuickAck()
        quickack.begin(transport)
        quickack.acknowledge()
        del quickack  # as a loop leaves it that ends with its connections open
        os.fstat(ours.fileno())
