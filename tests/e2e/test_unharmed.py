"""Strangers do their worst beside a viewer: it loses no picture, no process dies, and no memory is kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from rigs.browser import Browser, audio_section, video_section
from rigs.bystander import unharmed
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera
from rigs.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer]

LONG = 60  # offers
LOUD = 6.0  # seconds
LOUD_STRANGERS = 10


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


@pytest.mark.timeout(240)
async def test_strangers_who_fill_the_log_and_a_database_that_is_lost(
    shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    """All that a stranger can have written down, as fast as it is answered; in the midst of it the file goes."""
    running = await shared_cluster({"front-door": gst_camera(SMALL).url})
    [database] = running.directory.glob("**/camshaft.db")
    async with aiohttp.ClientSession(running.url) as http, unharmed(running, "front-door"):
        before, end = len(running.log), time.monotonic() + LOUD
        async with asyncio.TaskGroup() as group:
            said = [group.create_task(loud(running, http, number, end)) for number in range(LOUD_STRANGERS)]
            await asyncio.sleep(LOUD / 2)
            for file in database.parent.glob("camshaft.db*"):
                file.unlink()
            async with http.post("/api/cameras", json={"id": "late", "url": "rtsp://127.0.0.1:1/"}) as answer:
                assert answer.status in (201, 503), await answer.text()
        statuses = sum((task.result() for task in said), Counter())
        told = running.log[before:].splitlines()
        print(
            statuses, len(told), "lines of log", Counter(json.loads(line)["event"] for line in told if line[:1] == "{")
        )
        assert statuses.total() > 100
        assert all(status < 500 or status == 503 for status in statuses)
        assert len(told) < statuses.total() / 5, "a line for each would fill a disk"
        await until(database.exists, 20.0)
        if answer.status == 201:
            async with http.delete("/api/cameras/late") as answer:
                assert answer.status == 204


async def loud(running: Any, http: aiohttp.ClientSession, number: int, until: float) -> Counter[int]:
    """Ask for what is not there, and send what is none, again and again. Returns how often which status came."""
    statuses: Counter[int] = Counter()
    sdp = {"Content-Type": "application/sdp"}
    while time.monotonic() < until:
        name = f"{number}-{statuses.total()}"
        for path, body, headers in (
            (f"/whep/{name}", Browser().offer(video_section(), audio_section()), sdp),
            ("/whep/front-door", f"v=0\r\n{name}", sdp),
            (f"/api/cameras/{name}", None, {"Origin": f"http://{name}.example"}),
            ("/api/cameras", json.dumps({"id": name}), {"Authorization": f"Bearer {name}"}),
            (f"/{name}", None, {"X-Forwarded-For": name, "Host": name}),
        ):
            async with http.request("POST" if body else "GET", path, data=body, headers=headers) as answer:
                statuses[answer.status] += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(f"{name} is no HTTP\r\n\r\n".encode())
            statuses[int((await reader.readline()).split()[1])] += 1
            writer.close()
    return statuses
