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

from rigs.bystander import given_back, memory_of
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera
from rigs.load.crowd import Crowd
from rigs.load.signalling import Whep

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet]

SECONDS = 15.0
VIEWERS = 20
CAMERAS = ("front-door", "yard", "garage")
PATIENCE = 30.0


async def nodes(http: aiohttp.ClientSession, running: Any) -> dict[str, dict[str, Any]]:
    async with http.get(f"{running.url}/api/nodes") as response:
        return {node["node"]: node for node in await response.json()}


async def all_play(http: aiohttp.ClientSession, running: Any) -> None:
    """Wait until every camera does."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with http.get(f"{running.url}/api/cameras") as response:
                if all(camera["state"] == "playing" for camera in await response.json()):
                    return
            await asyncio.sleep(0.1)


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
        assert joined, f"a viewer was turned away: {crowd.end().failures}"
        taken += 1
        await asyncio.sleep(chance.uniform(0.2, 3.0))
        await crowd.leave(joined)
        await asyncio.sleep(chance.uniform(0.0, 0.5))
    return taken


async def quiet(http: aiohttp.ClientSession, running: Any) -> dict[str, dict[str, Any]]:
    """Wait until no egress has a viewer or a stream; the nodes as they then are."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await nodes(http, running)
            if not any(n["cameras"] or n["viewers"] for n in found.values() if n["role"] == "egress"):
                return found
            await asyncio.sleep(0.2)


def tasks(found: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Tasks of the workers; the broker's come and go with each request."""
    return {name: node["counters"]["tasks"] for name, node in found.items() if node["role"] != "broker"}


@pytest.mark.timeout(240)
async def test_twenty_viewers_on_three_cameras_leave_nothing_behind(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    # Who comes is counted, on a machine whose time other tests have as well.
    config = {"limits": {"egress_load": 0}}
    running = await cluster({name: gst_camera(SMALL).url for name in CAMERAS}, ingest=2, egress=2, config=config)
    chance = random.Random(20)
    async with aiohttp.ClientSession() as http:
        await all_play(http, running)
        async with Crowd() as first:  # so that what is made once, at the first viewer, is there
            for name in CAMERAS:
                await first.join(Whep(running.whep(name)), 2)
        nodes_before, before, memory = await quiet(http, running), held(running), memory_of(running)

        async with Crowd() as steady, Crowd() as crowd:
            crowd.begin()
            for name in CAMERAS:
                await steady.join(Whep(running.whep(name)))
            await steady.watching()
            steady.begin()
            until = time.monotonic() + SECONDS
            async with asyncio.TaskGroup() as group:
                seats = [group.create_task(come_and_go(crowd, running, until, chance)) for _ in range(VIEWERS)]
            window = steady.end()
        assert sum(seat.result() for seat in seats) > 5 * VIEWERS
        counters = {name: node["counters"] for name, node in (await nodes(http, running)).items()}
        print({name: (of.get("paths_stuck"), of.get("sends_blocked")) for name, of in counters.items()}, window)
        for viewer in window.viewers:
            assert viewer.lost == 0, "nobody else's packets are dropped"
            assert viewer.frames >= 0.98 * SECONDS * SMALL.fps

        nodes_after = await quiet(http, running)  # no session, no subscription
        async with http.get(f"{running.url}/api/viewers") as response:
            assert await response.json() == []
        assert tasks(nodes_after) == tasks(nodes_before), "no task is left"
        async with asyncio.timeout(PATIENCE):
            # A thread that gives memory back is made once, after the first rush of viewers is over.
            while grown := {
                name: (before[name], (descriptors, threads))
                for name, (descriptors, threads) in held(running).items()
                if descriptors > before[name][0] or threads > before[name][1] + 1
            }:
                print(f"more descriptors or threads than before: {grown}")
                await asyncio.sleep(1.0)
        print("grown most:", await given_back(running, memory))
