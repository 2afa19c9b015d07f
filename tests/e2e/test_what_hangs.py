"""Each process of ``serve`` that hangs is replaced; its viewers get pictures again, and others see nothing of it.

One that gets no processor does not hang, and is none of these.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import psutil
import pytest

from rigs.browser import Browser, audio_section, video_section
from rigs.bystander import Bystander, unharmed, watching
from rigs.clip import SMALL
from rigs.cluster import ROLES
from rigs.gst_camera import GstCamera
from rigs.hogs import starved

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DARK = 14.0  # seconds, on a machine that has much else to do; 7 on one of one's own
LOOK = 0.5  # seconds between looks whether there are pictures
STARVED = 4.0  # seconds without a processor: more than heartbeats are waited for
STEADY = 3.0  # seconds of picture after that
PATIENCE = 60.0  # seconds
OFFERS = 20


async def goes_on(bystander: Bystander) -> None:
    await bystander.seen()
    async with asyncio.timeout(PATIENCE):
        while not (await bystander.seen()).frames:  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(LOOK)


async def test_each_is_replaced_and_the_picture_comes_again(cluster: Callable[..., Any]) -> None:
    """A nursery is needed only when another process dies: an ingest is killed."""
    running = await cluster({}, config={"broker": {"relay": "apart"}}, arguments=("--demo-if-none",))
    async with watching(running.whep("demo")) as bystander:
        await asyncio.sleep(STEADY)
        before = running.pids()["egress"]
        with starved(before[0]):
            await asyncio.sleep(STARVED)
        await goes_on(bystander)
        assert running.pids()["egress"] == before
        assert '"worker lost"' not in running.log
        for victim in ("transcode", "relay", "demo-camera", "nursery"):
            await bystander.seen()
            since, before = time.monotonic(), {pid for pids in running.pids().values() for pid in pids}
            stopped = running.kill(victim, number=signal.SIGSTOP)
            gone = {stopped}
            if victim == "nursery":
                gone.add(running.kill("ingest"))
            async with asyncio.timeout(PATIENCE):
                while stopped in running.pids().get(victim, [stopped]):  # noqa: ASYNC110 - the system tells nobody
                    await asyncio.sleep(0.1)
            replaced = time.monotonic() - since
            await goes_on(bystander)
            dark = time.monotonic() - since  # at most
            await asyncio.sleep(STEADY)
            again = await bystander.seen()
            print(f"{victim}: replaced after {replaced:.1f} s, pictures after {dark:.1f} s, then {again}")
            assert dark < DARK, victim
            assert again.gap_ms < STEADY / 2 * 1_000, f"{victim}: it does not go on"
            assert before - gone <= {pid for pids in running.pids().values() for pid in pids}, "others go on"
            assert running.pids().keys() >= {"relay", "broker", "ingest", "egress", "demo-camera"}


async def test_who_has_nothing_to_do_with_them_sees_nothing(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    """Offers that an egress does not answer go to no other one: they may be why it hangs."""
    cameras = {name: gst_camera(SMALL).url for name in ("yard", "door")}
    apart = {"broker": {"relay": "apart"}}
    running = await cluster(cameras, ingest=2, egress=2, transcode=1, config=apart)
    async with aiohttp.ClientSession(running.url) as http, unharmed(running, "yard") as ended:
        (viewer,) = await asked(http, "/api/viewers")
        yard = await asked(http, "/api/cameras/yard")
        nodes = {node["node"]: node["pid"] for node in await asked(http, "/api/nodes")}
        egress, ingest = (
            next(pid for node, pid in nodes.items() if node.startswith(role) and node != used)
            for role, used in (("egress", viewer["node"]), ("ingest", yard["worker"]))
        )
        os.kill(egress, signal.SIGSTOP)
        statuses = await asyncio.gather(*(offer(http, number) for number in range(OFFERS)))
        print("offers:", Counter(statuses))
        assert {*statuses} <= {201, 503, 504}
        stopped = [egress, ingest, *(running.kill(role, number=signal.SIGSTOP) for role in ("transcode", "relay"))]
        os.kill(ingest, signal.SIGSTOP)
        stopped.append(running.kill("broker", number=signal.SIGSTOP))
        ended.update(stopped)
        async with asyncio.timeout(PATIENCE):
            # Nobody tells: all that were stopped are gone, and others are there (no demo camera).
            while any(map(psutil.pid_exists, stopped)) or len(running.pids()) < len(ROLES):  # noqa: ASYNC110
                await asyncio.sleep(LOOK)
        await running.ready()


async def asked(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as response:
        return await response.json()


async def offer(http: aiohttp.ClientSession, number: int) -> int:
    """Offer as much as may be read, and something else each time; end what comes of it."""
    lines = "".join(f"a=fmtp:{96 + at} x={number}{'y' * 1_900}\r\n" for at in range(30))
    headers = {"Content-Type": "application/sdp"}
    sections = video_section() + lines, audio_section()
    async with http.post("/whep/door", data=Browser().offer(*sections), headers=headers) as response:
        await response.read()
        if response.status == 201:
            async with http.delete(response.headers["Location"]):
                pass
        return response.status
