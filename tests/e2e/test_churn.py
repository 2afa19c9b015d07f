"""Viewers who come and go at random, and what is left of them: nothing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import psutil
import pytest

from bench.load.crowd import Crowd
from bench.load.signalling import Whep
from tests.fakes.clip import SMALL
from tests.fakes.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer]

SECONDS = 60.0
VIEWERS = 20
CAMERAS = ("front-door", "yard", "garage")
PATIENCE = 30.0


async def nodes(http: aiohttp.ClientSession, running: Any) -> dict[str, dict[str, Any]]:
    async with http.get(f"{running.url}/api/nodes") as response:
        return {node["node"]: node for node in await response.json()}


def held(running: Any) -> dict[str, tuple[int, int]]:
    """Descriptors and threads of each process."""
    processes = {
        f"{role}-{index}": psutil.Process(pid)
        for role, pids in running.pids().items()
        for index, pid in enumerate(sorted(pids))
    }
    return {name: (process.num_fds(), process.num_threads()) for name, process in processes.items()}


async def come_and_go(crowd: Crowd, running: Any, until: float, chance: random.Random) -> int:
    """One seat: viewers follow each other on it, each for a moment, some of them without a word at the end."""
    taken = 0
    while time.monotonic() < until:
        joined = await crowd.join(Whep(running.whep(chance.choice(CAMERAS))))
        assert joined, "a viewer was turned away"
        taken += 1
        await asyncio.sleep(chance.uniform(0.2, 6.0))
        await crowd.leave(joined)
        await asyncio.sleep(chance.uniform(0.0, 1.0))
    return taken


@pytest.mark.timeout(240)
async def test_twenty_viewers_on_three_cameras_leave_nothing_behind(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    cameras = {name: gst_camera(SMALL).url for name in CAMERAS}
    running = await cluster(cameras, ingest=2, egress=2)
    chance = random.Random(20)
    async with aiohttp.ClientSession() as http, Crowd() as steady, Crowd() as crowd:
        # Somebody has been there before the measurement, so that what is made once is there.
        for name in CAMERAS:
            await crowd.leave(await crowd.join(Whep(running.whep(name)), 2))
        stayed = [viewer for name in CAMERAS for viewer in await steady.join(Whep(running.whep(name)))]
        before, nodes_before = held(running), await nodes(http, running)
        steady.begin()
        until = time.monotonic() + SECONDS
        async with asyncio.TaskGroup() as group:
            seats = [group.create_task(come_and_go(crowd, running, until, chance)) for _ in range(VIEWERS)]
        window = steady.end()
        assert sum(seat.result() for seat in seats) > 5 * VIEWERS
        for viewer in window.viewers:
            assert viewer.lost == 0, "nobody else's packets are dropped"
            assert viewer.frames >= 0.98 * SECONDS * SMALL.fps
        await steady.leave(stayed)

        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            after, nodes_after = held(running), await nodes(http, running)
            egress = [node for node in nodes_after.values() if node["role"] == "egress"]
            if after == before and not any(node["cameras"] or node["viewers"] for node in egress):
                break
            await asyncio.sleep(0.5)
        async with http.get(f"{running.url}/api/viewers") as response:
            assert await response.json() == []
        assert {node["node"]: (node["cameras"], node["viewers"]) for node in egress} == {
            "egress-0": ([], 0),
            "egress-1": ([], 0),
        }, "no session and no subscription is left"
        assert after == before, "no descriptor and no thread is left"
        for name, node in nodes_after.items():
            assert node["counters"].get("tasks") == nodes_before[name]["counters"].get("tasks"), "no task is left"
