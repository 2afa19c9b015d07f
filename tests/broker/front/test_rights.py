"""Rights that end or become less while somebody watches: by each of the ways on which one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broker.access.tokens import digest_of
from broker.director.events import EndReason
from broker.front import rights
from common.control import HangUp
from common.sessions import public_name
from tests.fakes.broker import PATIENCE, RunningBroker, broker_in
from tests.fakes.log import Recorder
from tests.fakes.workers import FakeEgress

pytestmark = pytest.mark.usefixtures("cheap_passwords")

TOKENS = {"root": {"sha256": digest_of("t-root"), "role": "admin"}}
ROOT = {"Authorization": "Bearer t-root"}
BEN = {"user": "ben", "password": "ben's password", "cameras": ["yard", "hall"]}
OFFER = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n"
SDP = {"Content-Type": "application/sdp"}


@pytest.fixture
async def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningBroker]:
    monkeypatch.setattr(rights, "INTERVAL", 0.1)
    cameras = {name: {"url": f"rtsp://10.0.0.1/{name}"} for name in ("yard", "hall")}
    async with broker_in(tmp_path, auth={"tokens": TOKENS}, cameras=cameras) as broker:
        assert (await broker.http.post("/api/users", json=BEN, headers=ROOT)).status == 201
        yield broker


@pytest.fixture
async def egress(broker: RunningBroker) -> AsyncIterator[FakeEgress]:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes?token=t-root", lambda nodes: len(nodes) == 2)
        yield egress


@pytest.fixture
async def ben(broker: RunningBroker) -> AsyncIterator[aiohttp.ClientSession]:
    """His browser, in which he has signed in."""
    async with aiohttp.ClientSession(broker.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        form = {"user": "ben", "password": "ben's password"}
        assert (await browser.post("/api/login", json=form)).status == 204
        yield browser


async def change(broker: RunningBroker, **rights: Any) -> None:
    async with broker.http.patch("/api/users/ben", json=rights, headers=ROOT) as answer:
        assert answer.status == 200, await answer.text()


async def join(ben: aiohttp.ClientSession, camera: str) -> str:
    """The path of a session."""
    async with ben.post(f"/whep/{camera}", data=OFFER, headers=SDP) as answer:
        assert answer.status == 201, await answer.text()
        return answer.headers["Location"]


def told_to_leave(egress: FakeEgress) -> set[str]:
    return {message.session for message in egress.messages if isinstance(message, HangUp)}


async def closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which a socket is closed."""
    async with asyncio.timeout(PATIENCE):
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    return socket.close_code


async def test_of_a_user_that_loses_a_camera_the_others_play_on(
    log: Recorder, broker: RunningBroker, egress: FakeEgress, ben: aiohttp.ClientSession
) -> None:
    yard, hall = [(await join(ben, camera)).rpartition("/")[2] for camera in ("yard", "hall")]
    await change(broker, cameras=["yard"])
    await egress.until(lambda: hall in told_to_leave(egress))
    await asyncio.sleep(3 * rights.INTERVAL)
    assert yard not in told_to_leave(egress)
    (line,) = log.of("session ended because its right is gone")
    assert (line["who"], line["camera"], line["session"]) == ("user:ben", "hall", public_name(hall))
    assert (await ben.post("/whep/hall", data=OFFER, headers=SDP)).status == 403


async def test_the_events_of_a_whep_session_end_with_its_right(
    broker: RunningBroker, egress: FakeEgress, ben: aiohttp.ClientSession
) -> None:
    session = await join(ben, "yard")
    async with ben.get(f"{session}/events") as events:
        assert await events.content.readline() == b":\n"
        await change(broker, cameras=["hall"])
        async with asyncio.timeout(PATIENCE):
            await events.content.read()
    async with ben.patch(session, data="", headers={"Content-Type": "application/trickle-ice-sdpfrag"}) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("role", ["viewer", "monitor"])
async def test_an_admin_who_is_none_any_more_is_shown_no_more_what_admins_are(
    broker: RunningBroker, ben: aiohttp.ClientSession, role: str
) -> None:
    await change(broker, role="admin")
    async with ben.ws_connect("/ws") as socket, ben.get("/api/events") as events:
        await socket.send_json({"type": "subscribe"})
        assert (await socket.receive_json())["type"] == "cameras"
        await change(broker, role=role, cameras=["yard"] if role == "viewer" else [])
        assert await closed(socket) == 4401
        async with asyncio.timeout(PATIENCE):
            await events.content.read()
    assert (await ben.get("/api/nodes")).status == 403
    assert (await ben.get("/metrics")).status == (200 if role == "monitor" else 403)
    async with ben.ws_connect("/ws") as socket:
        await socket.send_json({"type": "subscribe"})
        cameras = (await socket.receive_json())["cameras"]
    assert [camera["camera"] for camera in cameras] == (["yard"] if role == "viewer" else [])


async def test_a_session_that_a_page_owns_is_told_why_it_ends(
    broker: RunningBroker, egress: FakeEgress, ben: aiohttp.ClientSession
) -> None:
    async with ben.ws_connect("/ws") as socket:
        await socket.send_json({"type": "offer", "camera": "yard", "sdp": OFFER})
        said: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE):
            while not said or said[-1]["type"] != "answer":
                said.append(await socket.receive_json())
            await change(broker, cameras=["hall"])
            while said[-1]["type"] != "close":
                said.append(await socket.receive_json())
    assert said[-1]["reason"] == EndReason.NO_RIGHT
    assert said[-1]["sentence"] == "Your right to watch this camera was revoked."
