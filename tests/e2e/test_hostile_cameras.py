"""A camera that means harm beside one that does not: viewers of the other one notice nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from rigs.bystander import memory_of, unharmed, watching
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera
from rigs.hostile_camera import KINDS, hostile_camera
from rigs.hostile_source import hostile_sources

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet]

MOST = 150 << 20  # bytes that a process may grow by in the meantime; it was 350 MB


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", list(KINDS))
async def test_a_hostile_camera_harms_no_other(
    kind: str, shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    with hostile_camera(kind) as url:
        running = await shared_cluster({"front-door": gst_camera(SMALL).url, "hostile": url})
        before = memory_of(running)
        async with unharmed(running, "front-door"):
            async with AsyncExitStack() as stack:
                if kind == "keyframes":
                    await stack.enter_async_context(watching(running.whep("hostile")))
                for _ in range(10):
                    await asyncio.sleep(1.0)
                    grown = {pid: size - before.setdefault(pid, size) for pid, size in memory_of(running).items()}
                    assert max(grown.values()) < MOST
            async with aiohttp.ClientSession(running.url) as http, http.delete("/api/cameras/hostile") as answer:
                assert answer.status == 204


@pytest.mark.timeout(240)
async def test_hostile_sources_beside_rtsp_harm_no_camera(
    shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    """All of them at once, and somebody asks for each; a process that converts may begin for that."""
    with hostile_sources() as urls:
        running = await shared_cluster({"front-door": gst_camera(SMALL).url, **urls})
        before = memory_of(running)
        async with unharmed(running, "front-door"):
            for _ in range(10):
                await asyncio.sleep(1.0)
                grown = {pid: size - before.setdefault(pid, size) for pid, size in memory_of(running).items()}
                assert max(grown.values()) < MOST
            async with aiohttp.ClientSession(running.url) as http:
                for name in urls:
                    async with http.get(f"/api/cameras/{name}") as answer:
                        camera = await answer.json()
                        print(name, camera["state"], camera.get("detail"))
                    async with http.delete(f"/api/cameras/{name}") as answer:
                        assert answer.status == 204
