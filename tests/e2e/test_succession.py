"""An upgrade under viewers of every kind, plain WHEP players among them, who are told nothing: nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from rigs import gst_viewer
from rigs.chromium import Chromium
from rigs.gst_camera import GstCamera
from rigs.load.crowd import Crowd
from rigs.load.players import Page, Plain
from rigs.load.watcher import Watcher, watching
from rigs.replacing import nodes_of

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer]

PATIENCE = 90.0  # seconds


async def sessions(http: aiohttp.ClientSession) -> dict[str, str]:
    """The node of each."""
    async with http.get("/api/viewers") as response:
        return {viewer["session"]: viewer["node"] for viewer in await response.json()}


def faults(watcher: Watcher) -> dict[str, tuple[int, int, int]]:
    """By the kind of media: numbers that were left out, that came twice, and that began anew."""
    [viewer] = watcher.viewers
    return {s.kind: (s.holes, s.duplicates, s.restarts) for s in viewer.streams.values()}


async def test_an_upgrade_is_noticed_by_nobody(
    chromium: Chromium, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await cluster({"door": gst_camera().url}, config={"transcode": {"workers": 0}})
    plain, page = Watcher(Plain(running.whep("door"))), Watcher(Page(running.websocket, "door"))
    player = "document.querySelector('camshaft-player')"
    async with AsyncExitStack() as stack:
        viewing = await chromium.open(f"{running.url}/watch/door")
        await viewing.shows(30)
        stranger = None
        if not gst_viewer.missing("H264"):
            stranger = await stack.enter_async_context(gst_viewer.gst_viewer(running.whep("door"), "H264"))
            await stranger.shows(30)
        http = await stack.enter_async_context(aiohttp.ClientSession(running.url))
        async with watching(Crowd(), [plain, page]):
            async with asyncio.timeout(PATIENCE):
                while not all(set(faults(each)) == {"video", "audio"} for each in (plain, page)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                while any(not v.first_keyframe_at for each in (plain, page) for v in each.viewers):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                while len(before := await sessions(http)) < 3 + (stranger is not None):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            # On a path that was busy when they came, viewers are sent the very first packets twice.
            counted = {name: faults(each) for name, each in (("plain", plain), ("page", page))}
            [node] = await nodes_of(http, "egress")
            seen = await viewing.page.evaluate(f"{player}.session")
            os.kill(running.pid, signal.SIGUSR2)
            async with asyncio.timeout(PATIENCE):
                while "upgrade is done" not in running.log:  # noqa: ASYNC110 - a file has no event
                    await asyncio.sleep(0.1)
                while (await nodes_of(http, "egress"))[0]["pid"] == node["pid"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            await viewing.shows(30)
            if stranger is not None:
                await stranger.shows(30)
            async with asyncio.timeout(PATIENCE):
                while await sessions(http) != before:  # noqa: ASYNC110 - a new broker learns of them
                    await asyncio.sleep(0.1)
            for name, each in (("plain", plain), ("page", page)):
                print([(s.kind, s.packets, s.holes, s.duplicates) for v in each.viewers for s in v.streams.values()])
                assert faults(each) == counted[name]
                assert not any(stream.holes for viewer in each.viewers for stream in viewer.streams.values())
                assert (each.sessions, each.lost) == (1, 0)
            stats = await viewing.stats()
            assert (stats.packets_lost, stats.audio_packets_lost) == (0, 0)
            assert await viewing.page.evaluate(f"{player}.session") == seen
        async with asyncio.timeout(PATIENCE):
            while len(await sessions(http)) > 1 + (stranger is not None):  # noqa: ASYNC110 - DELETE reaches the new one
                await asyncio.sleep(0.1)
    assert '"sessions taken over"' in running.log
