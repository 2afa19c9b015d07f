"""Cameras that send what is wrong beside one that does not: each is shown or said, and the other is not harmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from rigs.bad_tracks import BAD, FPS
from rigs.bystander import memory_of, unharmed
from rigs.camera import FakeCamera
from rigs.chromium import Chromium
from rigs.clip import TINY
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.timeout(240)]

WATCHED = (
    "JPEG whose header lies",
    "another size each second",
    "times that go back",
    "AAC of another kind than it says",
    "H.265 without a video parameter set",
)
PATIENCE = 60.0  # seconds
GAP = 500.0  # ms: these cameras and their viewers have the same two cores
MOST = 200 << 20  # bytes that a process may grow by


async def test_what_is_wrong_is_shown_or_said_and_harms_nobody(
    chromium: Chromium, shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    async with AsyncExitStack() as stack:
        cameras: dict[str, Any] = {"good": gst_camera(TINY).url}
        for at, name in enumerate(WATCHED):
            fake = FakeCamera(BAD[name].tracks(), interval=1 / FPS, reports=True, mangle=BAD[name].mangle)
            url = (await stack.enter_async_context(fake)).url
            cameras[f"bad-{at}"] = {"url": url, "on_demand": True, "keep_after": 0.0}
        running = await shared_cluster(cameras)
        before = memory_of(running)
        async with unharmed(running, "good", memory=False, shared_gap=GAP):
            await asyncio.gather(*(_seen(chromium, running, f"bad-{at}", name) for at, name in enumerate(WATCHED)))
            grown = {pid: size - before[pid] for pid, size in memory_of(running).items() if pid in before}
            assert max(grown.values()) < MOST


async def _seen(chromium: Chromium, running: Any, camera: str, name: str) -> None:
    """Watch it until two seconds of it have been shown, or until it is said what is wrong; sound alone may be."""
    said = BAD[name].said
    async with chromium.window() as window, aiohttp.ClientSession() as http:
        viewing = await window.whep(running.whep(camera))
        if not said or "sound" in said:
            await viewing.shows(2 * FPS, seconds=PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while said:
                async with http.get(f"{running.url}/api/cameras/{camera}") as answer:
                    if said in await answer.text():
                        break
                await asyncio.sleep(0.2)
        await viewing.close()
