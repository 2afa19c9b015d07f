"""Server-sent events, as a browser's EventSource reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSServerHandshakeError

from broker.access.tokens import digest_of
from broker.front import event_stream
from tests.fakes.broker import RunningBroker, broker_in

TOKENS = {
    "root": {"sha256": digest_of("t-root"), "role": "admin"},
    "wall": {"sha256": digest_of("t-wall"), "cameras": ["yard"]},
}
CAMERAS = {name: {"url": f"rtsp://{name}/"} for name in ("yard", "hall")}
ROOT = {"Authorization": "Bearer t-root"}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    config = {"auth": {"tokens": TOKENS}, "cameras": CAMERAS, "limits": {"sockets": 2}}
    async with broker_in(tmp_path, **config) as broker:
        yield broker


async def event(response: aiohttp.ClientResponse) -> Any:
    async with asyncio.timeout(5):
        while not (line := await response.content.readline()).startswith(b"data: "):
            assert line, "the stream has ended"
        assert await response.content.readline() == b"\n"
    return json.loads(line.removeprefix(b"data: "))


async def test_who_listens_hears_of_its_cameras(broker: RunningBroker) -> None:
    async with broker.http.get("/api/events?token=t-wall") as response:
        assert response.content_type == "text/event-stream"
        first = await event(response)
        assert (first["type"], [each["camera"] for each in first["cameras"]]) == ("cameras", ["yard"])
        for id in ("back", "yard-2"):
            added = await broker.http.post("/api/cameras", json={"id": id, "url": "rtsp://x/"}, headers=ROOT)
            assert added.status == 201
    async with broker.http.get("/api/events", headers=ROOT) as response:
        assert len((await event(response))["cameras"]) == 4
        await broker.http.patch("/api/cameras/back", json={"name": "Back"}, headers=ROOT)
        told = await event(response)
        assert (told["type"], told["camera"], told["name"]) == ("camera", "back", "Back")
        await broker.http.delete("/api/cameras/back", headers=ROOT)
        assert await event(response) == {"type": "removed", "camera": "back"}


async def test_a_stream_that_says_nothing_has_a_pulse(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "BEAT", 0.01)
    monkeypatch.setattr(event_stream, "LOOK", 0.01)
    async with broker.http.get("/api/events", headers=ROOT) as response:
        await event(response)
        async with asyncio.timeout(5):
            assert await response.content.readline() == b":\n"


async def test_streams_count_as_sockets_until_their_connection_ends(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "LOOK", 60.0)  # it is told, and does not wait until it looks
    async with broker.http.get("/api/events", headers=ROOT) as one, broker.http.get("/api/events", headers=ROOT) as two:
        await event(one)
        await event(two)
        with pytest.raises(WSServerHandshakeError, match="503"):
            await broker.http.ws_connect("/ws", headers=ROOT)
        one.close()
        async with asyncio.timeout(5):
            while (again := await broker.http.get("/api/events", headers=ROOT)).status == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        again.close()


async def test_a_stream_ends_with_its_right(broker: RunningBroker) -> None:
    user = {"user": "ben", "password": "ben's password", "cameras": ["yard"]}
    await broker.http.post("/api/users", json=user, headers=ROOT)
    async with aiohttp.ClientSession(broker.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as ben:
        await ben.post("/api/login", json={"user": "ben", "password": "ben's password"})
        async with ben.get("/api/events") as response:
            await event(response)
            await broker.http.delete("/api/users/ben", headers=ROOT)
            async with asyncio.timeout(10):
                assert await response.content.read() == b""
            assert (await ben.get("/api/events")).status == 401


async def test_a_head_does_not_wait(broker: RunningBroker) -> None:
    async with asyncio.timeout(5):
        assert (await broker.http.head("/api/events", headers=ROOT)).content_type == "text/event-stream"
