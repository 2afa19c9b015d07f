"""Viewers whose feedback lies, or never ends, beside one that watches: it notices nothing, and no memory is kept."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiortc import rtp

from rigs import coturn as coturn_rig
from rigs.bystander import unharmed
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera
from rigs.load.rtcp import Block, nack, receiver_report, remb, transport_feedback
from rigs.process import free_port
from rigs.relayed_stranger import RelayedStranger
from rigs.stranger import Stranger

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet, pytest.mark.timeout(240)]

SECRET = "of a server that is gone after this test"
EACH = 2  # viewers that tell the same lie
SECONDS = 6.0
PERIOD = 0.02  # seconds between two lies: as often as a browser reports that much is lost
FLOOD = 40  # datagrams in each period, ten times what is read of one viewer

Lie = Callable[[Stranger, int], Iterator[bytes]]


def of_reports(to: Stranger, number: int) -> Iterator[bytes]:
    """All is lost, less than nothing, what was never sent has come, long ago and in the future."""
    lost = (255, 0x7FFFFF), (0, 0), (128, 0x800000)
    for (fraction, count), highest in itertools.product(lost, (0, to.largest, to.largest + 0x7FFF, 0xFFFFFFFF)):
        block = Block(to.video, fraction, count, highest, 0xFFFFFFFF, (number * 0x10001) & 0xFFFFFFFF, number % 3 << 30)
        yield receiver_report(9, [block] * (1 + number % 31), "x" * (number % 200))


def of_bandwidth(to: Stranger, number: int) -> Iterator[bytes]:
    """Nothing, a little, or more than there is."""
    yield remb(9, (0, 1, 300, 1 << 40, (1 << 81) - 1 & ~((1 << 63) - 1))[number % 5], [to.video, number])


def of_arrivals(to: Stranger, number: int) -> Iterator[bytes]:
    """All at once, before it was sent, hours late, or never; and of numbers that nobody sent."""
    step = (0, -40, 60_000, 8_000_000)[number % 4]
    first = to.largest - 60 if number % 2 else number * 977
    yield transport_feedback(
        9, to.video, {(first + at) & 0xFFFF: max(0, 1_000_000 + at * step) for at in range(60)}, number
    )
    yield (
        struct.pack("!BBHIIHH", 0x8F, 205, 5, 9, to.video, to.largest, 1_900)
        + bytes((0, 0, 1, number & 255))
        + b"\x27\x6c\0\0"
    )


LIES: dict[str, Lie] = {"reports": of_reports, "bandwidth": of_bandwidth, "arrivals": of_arrivals}


def by_turns(to: Stranger, number: int) -> Iterator[bytes]:
    """Well for a second, then badly for one: whoever follows it never comes to rest."""
    lie = list(LIES.values())[number % len(LIES)]
    yield from lie(to, number if number // 50 % 2 else 0)


@pytest.fixture
async def running(shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]) -> Any:
    return await shared_cluster({"front-door": gst_camera(SMALL).url})


async def lying(to: Stranger, lie: Lie) -> None:
    for number in range(int(SECONDS / PERIOD)):
        for feedback in lie(to, number):
            to.send_rtcp(feedback)
        await asyncio.sleep(PERIOD)


@pytest.mark.parametrize("lie", [*LIES, "turns"])
async def test_feedback_that_lies_harms_nobody(running: Any, lie: str) -> None:
    async with unharmed(running, "front-door"), AsyncExitStack() as stack:
        liars = [await stack.enter_async_context(Stranger(running.whep("front-door"))) for _ in range(EACH)]
        before = [liar.received for liar in liars]
        async with asyncio.TaskGroup() as group:
            for liar in liars:
                group.create_task(lying(liar, LIES.get(lie, by_turns)))
        for liar, received in zip(liars, before, strict=True):
            assert liar.received > received, "it is served all the same"
        async with aiohttp.ClientSession(running.url) as http, http.get("/api/viewers") as response:
            viewers = await response.json()
        assert len(viewers) == EACH + 1
        async with Stranger(running.whep("front-door")) as another:
            assert another.received


@pytest.mark.skipif(bool(coturn_rig.missing()), reason=coturn_rig.missing())
async def test_feedback_that_lies_by_a_relay_harms_nobody(running: Any, tmp_path: Path) -> None:
    """Behind a TURN server every viewer has that one's address, those who lie and those who do not."""
    port = free_port()
    turn = coturn_rig.coturn(tmp_path, secret=SECRET, host="127.0.0.1", port=port, peer="127.0.0.1", user="root")
    async with turn as server, unharmed(running, "front-door"), AsyncExitStack() as stack:
        honest, *liars = [
            await stack.enter_async_context(RelayedStranger(running.whep("front-door"), server, SECRET))
            for _ in range(1 + EACH)
        ]
        before = honest.received
        async with asyncio.TaskGroup() as group:
            for liar in liars:
                group.create_task(lying(liar, by_turns))
        assert honest.received > before
        async with aiohttp.ClientSession(running.url) as http, http.get("/api/viewers") as response:
            viewers = await response.json()
        assert len(viewers) == 1 + EACH + 1


async def test_requests_without_end_harm_nobody(running: Any) -> None:
    """Everything that asks for pictures, many times faster than any of it is read."""
    async with unharmed(running, "front-door"), AsyncExitStack() as stack:
        askers = [await stack.enter_async_context(Stranger(running.whep("front-door"))) for _ in range(EACH)]
        for number in range(int(SECONDS / PERIOD)):
            for asker in askers:
                packets = (
                    nack(9, asker.video, sorted(asker.largest - at & 0xFFFF for at in range(250))),
                    nack(9, asker.video, [(number * 7_919 + 17 * at) & 0xFFFF for at in range(60)]),
                    rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, asker.video),
                    rtp.RtcpPsfbPacket(4, 9, 0, struct.pack("!IBxxx", asker.video, number & 255)),  # FIR
                    rtp.RtcpPsfbPacket(2, 9, asker.video, b"\0\1\0\1"),  # SLI
                )
                for at in range(FLOOD):
                    asker.send_rtcp(packets[at % len(packets)])
            await asyncio.sleep(PERIOD)
        assert all(asker.received for asker in askers)
