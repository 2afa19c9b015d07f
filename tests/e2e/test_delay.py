"""A packet's time in the product: from the read at ingest to the datagram to the last of ten viewers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from rigs.clip import Clip
from rigs.gst_camera import GstCamera
from rigs.load.crowd import Crowd
from rigs.load.signalling import Whep

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.alone]

FULL_HD = Clip()
VIEWERS = 10
MEDIAN_US = 2_000
TRIES = 6  # windows; the best counts, as other programs on the machine only add to it


async def test_the_median_stays_below_two_milliseconds(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await cluster({"front-door": gst_camera(FULL_HD).url})
    medians = []
    async with aiohttp.ClientSession() as http, Crowd() as crowd:
        assert len(await crowd.join(Whep(running.whep("front-door")), VIEWERS)) == VIEWERS
        for _ in range(TRIES):
            await asyncio.sleep(3.0)  # the egress keeps the last delays
            async with http.get(f"{running.url}/api/nodes") as response:
                egress = next(node for node in await response.json() if node["role"] == "egress")
            medians.append(egress["counters"]["delay_p50_us"])
            if medians[-1] <= MEDIAN_US:
                break
    print(f"median delay {medians} µs")
    assert min(medians) <= MEDIAN_US
