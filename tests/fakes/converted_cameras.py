"""Cameras made of GStreamer for tests of what is converted, and what the cluster says of its converter."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from rigs import gst_camera as gst_rig
from rigs.gst_launch import GstLaunch, missing, sound

PCMU = sound("mulawenc ! rtppcmupay", rate=8_000, pt=0)


def cameras(*pipelines: str) -> GstLaunch:
    if problem := gst_rig.missing() or missing(" ".join(pipelines)):
        pytest.skip(problem)
    return GstLaunch(pipelines)


async def asked(running: Any, path: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(f"{running.url}{path}") as response:
        return await response.json()


async def converter(running: Any) -> dict[str, Any]:
    [node] = [node for node in await asked(running, "/api/nodes") if node["role"] == "transcode"]
    return dict(node)
