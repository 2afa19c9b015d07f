"""Strangers do their worst beside a viewer: it loses no picture, no process dies, and no memory is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from rigs.browser import Browser, audio_section, video_section
from rigs.bystander import unharmed
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer]

LONG = 60  # offers


async def post(http: aiohttp.ClientSession, offer: str) -> int:
    """The status; who was let in leaves again."""
    async with http.post("/whep/front-door", data=offer, headers={"Content-Type": "application/sdp"}) as response:
        await response.read()
        if response.status == 201:
            async with http.delete(response.headers["Location"]):
                pass
        return response.status


def wide_offer(codecs: int) -> str:
    """An offer of many codecs, and as many lines of feedback, each for all of them."""
    lines = (f"a=rtpmap:{200 + n} H264/90000\r\na=rtcp-fb:* x\r\n" for n in range(codecs))
    return Browser().offer(video_section() + "".join(lines), audio_section())


def long_offer(number: int) -> str:
    """An offer as long as one may be, and like no other: what is kept of those that were read is of no use for it."""
    lines = (f"a=fmtp:{pt} x={number}{'y' * 2_000}\r\n" for pt in (96, 45, 49, 127))
    ignored = f"a=x-{number}:{'z' * 1_000}\r\n" * 45
    return Browser().offer(video_section() + "".join(lines) + ignored, audio_section())


@pytest.mark.timeout(240)
async def test_offers_that_are_costly_to_read(
    shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await shared_cluster({"front-door": gst_camera(SMALL).url})
    async with aiohttp.ClientSession(running.url) as http, unharmed(running, "front-door"):
        for codecs in (300, 600, 1_200):
            for _ in range(5):
                assert await post(http, wide_offer(codecs)) < 500
        statuses = Counter([await post(http, long_offer(n)) for n in range(LONG)])
        assert statuses[201] > LONG / 2, statuses
        assert {*statuses} <= {201, 429, 503}
        await asyncio.sleep(1.0)
