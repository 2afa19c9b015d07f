"""Strangers do their worst beside a viewer: it loses no picture, no process dies, and no memory is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from rigs.browser import Browser, audio_section, video_section
from rigs.bystander import unharmed
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer]


async def post(http: aiohttp.ClientSession, url: str, offer: str) -> int:
    async with http.post(url, data=offer, headers={"Content-Type": "application/sdp"}) as response:
        await response.read()
        return response.status


def wide_offer(codecs: int) -> str:
    """An offer of many codecs, and as many lines of feedback, each for all of them."""
    lines = (f"a=rtpmap:{200 + n} H264/90000\r\na=rtcp-fb:* x\r\n" for n in range(codecs))
    return Browser().offer(video_section() + "".join(lines), audio_section())


@pytest.mark.timeout(240)
async def test_offers_that_are_costly_to_read(
    shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await shared_cluster({"front-door": gst_camera(SMALL).url})
    async with aiohttp.ClientSession() as http, unharmed(running, "front-door"):
        for codecs in (300, 600, 1_200):
            for _ in range(5):
                assert await post(http, running.whep("front-door"), wide_offer(codecs)) < 500
        await asyncio.sleep(1.0)
