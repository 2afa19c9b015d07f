"""A worker is drained by an admin, and whoever has a session on it is told in its way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broker.access.tokens import digest_of
from broker.front.whep_events import RELATION
from common.control import Drain
from tests.fakes.broker import PATIENCE, RunningBroker, broker_in
from tests.fakes.workers import FakeEgress

OFFER = {"data": "v=0\r\n", "headers": {"Content-Type": "application/sdp"}}
TOKENS = {
    "root": {"sha256": digest_of("t-root"), "role": "admin"},
    "wall": {"sha256": digest_of("t-wall"), "cameras": ["door"]},
}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras={"door": {"url": "rtsp://door/"}}) as broker:
        yield broker


async def told(page: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while (message := await page.receive_json())["type"] != kind:
            pass
    return message


async def line(response: aiohttp.ClientResponse, begin: bytes) -> bytes:
    async with asyncio.timeout(PATIENCE):
        while not (found := await response.content.readline()).startswith(begin):
            assert found, "the stream has ended"
    return found.removeprefix(begin).strip()


async def test_whoever_has_a_session_on_what_drains_is_told_to_make_another(
    broker: RunningBroker, egress: FakeEgress
) -> None:
    async with broker.http.ws_connect("/ws") as page, broker.http.post("/whep/door?token=x", **OFFER) as answer:
        link = answer.links[RELATION]
        assert str(link["url"]).endswith(f"{answer.headers['Location'].partition('?')[0]}/events?token=x")
        await page.send_json({"type": "offer", "camera": "door", "sdp": "v=0\r\n"})
        session = (await told(page, "answer"))["session"]
        async with broker.http.post(link["url"], json=["reconnect"]) as subscribed:
            assert subscribed.status == 201
        async with (
            broker.http.get(subscribed.headers["Location"]) as events,
            FakeEgress(broker.endpoints, "out-2"),
        ):
            assert events.content_type == "text/event-stream"
            await broker.until("/api/nodes", lambda nodes: len(nodes) == 3)
            async with broker.http.post("/api/nodes/out-1/drain") as response:
                assert response.status == 202
            await egress.told(Drain)
            egress.report(draining=True)
            assert await told(page, "renew") == {"type": "renew", "session": session, "camera": "door"}
            assert await line(events, b"event: ") == b"reconnect"
            assert json.loads(await line(events, b"data: ")) == {"reconnect": "/whep/door?token=x"}
            async with broker.http.post("/whep/door", **OFFER):  # and it is answered by the other one
                viewers = await broker.json("/api/viewers")
            assert sorted(viewer["node"] for viewer in viewers) == ["out-1", "out-1", "out-2"]
            async with broker.http.delete(link["url"]) as over:
                assert over.status == 200
            async with asyncio.timeout(PATIENCE):
                await events.content.read()  # to its end


async def test_what_is_no_subscription_is_refused(broker: RunningBroker, egress: FakeEgress) -> None:
    async with broker.http.post("/whep/door", **OFFER) as answer:
        events = f"{answer.headers['Location']}/events"
    for body, code in ((b"{}", "invalid_events"), (b"[1]", "invalid_events"), (b"x", "not_json")):
        async with broker.http.post(events, data=body) as response:
            assert (response.status, (await response.json())["code"]) == (400, code)
    for method in ("post", "get", "delete"):
        async with broker.http.request(method, "/whep/door/none/events", data=b"[]") as response:
            assert (response.status, (await response.json())["code"]) == (404, "unknown_session")
    async with broker.http.head(events) as response:
        assert response.status == 200


async def test_events_end_with_their_session(broker: RunningBroker, egress: FakeEgress) -> None:
    async with broker.http.post("/whep/door", **OFFER) as answer:
        location = answer.headers["Location"]
    async with broker.http.get(f"{location}/events") as events:
        await line(events, b":")
        async with broker.http.delete(location):
            pass
        async with asyncio.timeout(PATIENCE):
            await events.content.read()


@contextlib.asynccontextmanager
async def reading(broker: RunningBroker) -> AsyncIterator[aiohttp.ClientResponse]:
    """The events of a session that has just begun."""
    async with broker.http.post("/whep/door?token=x", **OFFER) as answer:
        location = answer.headers["Location"].partition("?")[0]
    async with broker.http.get(f"{location}/events?token=x") as events:
        await line(events, b":")
        yield events


async def test_whose_egress_died_is_told_to_make_another(broker: RunningBroker, egress: FakeEgress) -> None:
    async with reading(broker) as events:
        egress.report(incarnation="2", viewers=())
        assert await line(events, b"event: ") == b"reconnect"
        assert json.loads(await line(events, b"data: ")) == {"reconnect": "/whep/door?token=x"}
        async with asyncio.timeout(PATIENCE):
            await events.content.read()  # to its end


def egresses(nodes: list[dict[str, Any]]) -> list[str]:
    """Those that live."""
    return [node["node"] for node in nodes if node["alive"] and node["role"] == "egress"]


async def test_who_is_told_so_finds_an_egress_there(broker: RunningBroker) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with FakeEgress(broker.endpoints, "out-1"):
            await broker.until("/api/nodes", egresses)
            events = await stack.enter_async_context(reading(broker))
        told = asyncio.ensure_future(line(events, b"event: "))
        await broker.until("/api/nodes", lambda nodes: not egresses(nodes))
        done, _ = await asyncio.wait({told}, timeout=0.5)
        assert not done, "nobody would take its offer"
        await stack.enter_async_context(FakeEgress(broker.endpoints, "out-2"))
        assert await told == b"reconnect"


async def test_who_could_not_watch_again_is_not_told_to(broker: RunningBroker, egress: FakeEgress) -> None:
    async with reading(broker) as events:
        [viewer] = await broker.json("/api/viewers")
        async with broker.http.delete(f"/api/viewers/{viewer['session']}") as closed:
            assert closed.status < 300
        async with asyncio.timeout(PATIENCE):
            assert b"reconnect" not in await events.content.read()


async def test_the_only_worker_of_a_kind_and_one_that_is_not_there_are_not_drained(
    broker: RunningBroker, egress: FakeEgress
) -> None:
    for node, refusal in (("out-1", (409, "last_of_role")), ("none", (404, "unknown_node"))):
        async with broker.http.post(f"/api/nodes/{node}/drain") as response:
            assert (response.status, (await response.json())["code"]) == refusal


async def test_draining_is_for_admins(tmp_path: Path) -> None:
    async with broker_in(tmp_path, auth={"tokens": TOKENS}) as broker:
        for token, status in (("t-wall", 403), ("t-root", 404)):
            headers = {"Authorization": f"Bearer {token}"}
            async with broker.http.post("/api/nodes/out-1/drain", headers=headers) as response:
                assert response.status == status
