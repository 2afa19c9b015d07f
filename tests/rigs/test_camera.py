"""The camera whose every fault a test can choose, before the raw client."""

from __future__ import annotations

import asyncio
from itertools import repeat

import pytest

from ingest.rtsp.auth import Authenticator, Challenge
from ingest.rtsp.message import InterleavedFrame
from rigs.camera import FakeCamera
from rigs.rtsp_client import Client

TCP = {"/trackID=1": "RTP/AVP/TCP;unicast;interleaved=0-1"}


async def test_a_flood_goes_on_for_as_long_as_it_is_read() -> None:
    frame = bytes(InterleavedFrame(0, bytes(50_000)))
    async with FakeCamera(flood=lambda: repeat(frame)) as camera:
        client = await Client.connect(f"{camera.host}:{camera.port}")
        await client.play(camera.url, TCP)
        async with asyncio.timeout(10):
            for _ in range(200):  # 10 MB, more than any buffer in between
                assert await client.channel(0).get() == bytes(50_000)
        await client.close()


@pytest.mark.parametrize("challenge", [Challenge.digest("camera"), Challenge.basic("camera")])
async def test_a_client_with_a_login_answers_what_it_is_asked_for(challenge: Challenge) -> None:
    async with FakeCamera(username="admin", password="p:w", challenges=[challenge]) as camera:
        client = await Client.connect(f"{camera.host}:{camera.port}")
        assert (await client.ask("DESCRIBE", camera.url)).status == 401
        client.login = Authenticator("admin", "p:w")
        assert (await client.ask("DESCRIBE", camera.url)).status == 200
        client.login = Authenticator("admin", "wrong")
        assert (await client.ask("DESCRIBE", camera.url)).status == 401
        await client.close()
