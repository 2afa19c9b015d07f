"""The port of all viewers is sent all that a viewer can send, beside one that watches: nobody else notices."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiortc import rtp

from egress.wire.ice import AMPLIFICATION
from rigs.bystander import unharmed
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera
from rigs.stranger import PATIENCE, Stranger, open_udp, take_all

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet, pytest.mark.timeout(240)]


@pytest.fixture
async def running(shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]) -> Any:
    return await shared_cluster({"front-door": gst_camera(SMALL).url})


async def test_feedback_that_no_report_can_hold(running: Any) -> None:
    async with unharmed(running, "front-door"):
        async with Stranger(running.whep("front-door")) as stranger:
            remb = b"REMB\x01\xff\xff\xff" + stranger.video.to_bytes(4, "big")
            info = rtp.RtcpReceiverInfo(stranger.video, 255, -(1 << 23), 0xFFFFFFFF, 0xFFFFFFFF, 1, 0)
            for _ in range(60):
                stranger.send_rtcp(rtp.RtcpRrPacket(9, [info] * 31), rtp.RtcpPsfbPacket(15, 9, 0, remb))
                await asyncio.sleep(0.1)
        async with aiohttp.ClientSession() as http, http.get(f"{running.url}/readyz") as response:
            assert response.status == 200
        async with Stranger(running.whep("front-door")) as another:
            assert another.received


async def test_a_victim_that_never_asked_gets_nothing(running: Any) -> None:
    async with unharmed(running, "front-door"), Stranger(running.whep("front-door")) as stranger:
        with open_udp("127.0.0.2") as victim:
            forged = sent = 0
            before = stranger.received
            for _ in range(100):
                forged += stranger.check(victim)
                stranger.check(stranger._socket, nominate=False)
                await asyncio.sleep(0.05)
                for datagram in take_all(victim):
                    assert datagram[0] < 4, "media or a handshake went there"
                    sent += len(datagram)
            assert 0 < sent <= AMPLIFICATION * forged
            assert stranger.received - before > 50_000, "where it has proved to be it is still served"


async def test_a_viewer_that_moves_is_followed(running: Any) -> None:
    """As a phone does that leaves its Wi-Fi: its next check comes from another address, and nominates it."""
    async with Stranger(running.whep("front-door")) as phone:
        with open_udp("127.0.0.3") as mobile:
            phone.check(mobile)
            came: list[bytes] = []
            async with asyncio.timeout(PATIENCE):
                while not any(datagram[0] >= 128 for datagram in came):
                    came += (arrived := take_all(mobile))
                    for datagram in arrived:
                        phone.answer(datagram, mobile)
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # what was on its way
            before = phone.received
            await asyncio.sleep(1.0)
            assert phone.received == before, "nothing goes where it was"
            assert sum(map(len, take_all(mobile))) > 20_000


async def test_requests_draw_little_more_than_the_picture(running: Any) -> None:
    async with unharmed(running, "front-door"), Stranger(running.whep("front-door")) as stranger:
        rates = []
        await asyncio.sleep(4.0)  # the time in which it gets the pictures from before it came
        for hostile in (False, True):
            before, since = stranger.received, time.monotonic()
            for _ in range(80):
                if hostile:
                    lost = sorted(stranger.largest - at & 0xFFFF for at in range(200))
                    stranger.send_rtcp(
                        rtp.RtcpRtpfbPacket(rtp.RTCP_RTPFB_NACK, 9, stranger.video, lost),
                        rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, stranger.video),
                    )
                await asyncio.sleep(0.05)
            rates.append((stranger.received - before) / (time.monotonic() - since))
        quiet, asked = rates
        print(f"bytes/s: {quiet:.0f} quietly, {asked:.0f} with requests")
        assert asked < 3.5 * max(quiet, 50_000)


async def test_sources_without_end_and_handshakes_without_end(running: Any) -> None:
    async with unharmed(running, "front-door"), Stranger(running.whep("front-door")) as stranger:
        for number in range(3_000):
            stranger.send_rtcp(rtp.RtcpRrPacket(1_000 + number))
            stranger.send(bytes([22, 254, 253]) + random.randbytes(60))
            if number % 10 == 0:
                await asyncio.sleep(0.01)


@pytest.mark.alone
async def test_what_is_nothing_from_many_places(running: Any) -> None:
    random.seed(7)
    sources = [open_udp(f"127.0.0.{10 + number}") for number in range(50)]
    try:
        async with unharmed(running, "front-door"), Stranger(running.whep("front-door")) as stranger:
            for number in range(20_000):
                first = random.choice((0, 1, 20, 22, 23, 63, 64, 128, 129, 130, 200, 255))
                data = bytes([first, random.choice((0, 1, 17, 200, 201, 205, 206))]) + random.randbytes(
                    random.choice((0, 2, 18, 30, 200, 1_200))
                )
                stranger.send(data, sources[number % 50])
                if number % 20 == 0:
                    stranger.check(sources[number % 50], nominate=False)
                if number % 50 == 0:
                    await asyncio.sleep(0.01)
    finally:
        for source in sources:
            source.close()
