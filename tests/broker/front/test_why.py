"""The verdict by the API: of sessions that there are, of those that were, and of offers that were refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.why import verdict
from common.cameras import CameraState
from common.control import Ended, Handshake, Offer, Tried, ViewerReport, ViewerState
from common.sessions import public_name
from tests.fakes.broker import CAMERAS, RunningBroker, broker_in
from tests.fakes.workers import FakeEgress, FakeIngest

OFFER = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\na=ice-ufrag:EsAw\r\n"
SDP = {"Content-Type": "application/sdp"}
TRIED = Tried(("9.9.9.9:8189", "9.9.9.9:8189 tcp"), ("8.8.8.8:5000",), ("8.8.8.8:5000",), Handshake.BEGUN)


@pytest.fixture
async def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningBroker]:
    monkeypatch.setattr(verdict, "YOUNG", 0.0)
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


async def test_a_session_is_judged_while_it_lasts_and_when_it_is_over(
    broker: RunningBroker, egress: FakeEgress
) -> None:
    async with FakeIngest(broker.endpoints, "in-1") as ingest, broker.http.ws_connect("/ws") as socket:
        await broker.until("/api/cameras/door", lambda camera: camera["state"] == "playing")
        await socket.send_json({"type": "offer", "camera": "door", "sdp": OFFER})
        session = (await egress.told(Offer)).session
        assert (await socket.receive_json(timeout=30))["type"] == "answer"
        egress.report(viewers=(ViewerReport(session, "door", ViewerState.CONNECTING, tried=TRIED),))
        name = public_name(session)
        view = await broker.until(f"/api/why/{name}", lambda view: view.get("offered"))
        assert (view["link"], view["over"], view["node"]) == ("handshake", False, "out-1")
        assert view["heard_from"] == view["answered_at"] == ["8.8.8.8:5000"]
        assert session not in str(view)

        pairs = [{"local": "host udp x.local:5", "remote": "host udp 9.9.9.9:8189", "state": "failed"}]
        await socket.send_json({"type": "report", "session": session, "pairs": pairs, "local": ["host"], "errors": 7})
        view = await broker.until(f"/api/why/{session}", lambda view: view["pairs"])
        assert view["pairs"] == ["host udp x.local:5 → host udp 9.9.9.9:8189: failed"]
        assert [each["session"] for each in await broker.json("/api/why")] == [name]

        await socket.send_json({"type": "close", "session": session})
        view = await broker.until(f"/api/why/{name}", lambda view: view["over"])
        assert (view["link"], view["reason"]) == ("handshake", "The viewer left.")
        assert view["pairs"]
        ingest.show("door", CameraState.UNAUTHORIZED)  # which is no reason for what was before
        assert (await broker.json(f"/api/why/{name}"))["link"] == "handshake"
        await socket.send_json({"type": "report", "session": "of another"})
        async with broker.http.get("/api/why/unknown") as answer:
            assert answer.status == 404


async def test_what_an_egress_says_last_is_kept(broker: RunningBroker, egress: FakeEgress) -> None:
    async with FakeIngest(broker.endpoints, "in-1"):
        await broker.until("/api/cameras/door", lambda camera: camera["state"] == "playing")
        async with broker.http.post("/whep/door", data=OFFER, headers=SDP) as answer:
            session = answer.headers["Location"].rpartition("/")[2]
        egress.send(Ended(session, "no address of the viewer answered", Tried(TRIED.offered)))
        (view,) = await broker.until("/api/why", lambda views: views and views[0]["over"] and views)
        assert view["session"] == public_name(session)
        assert view["reason"] == "no address of the viewer answered"
        assert view["link"] == "way_in"
        assert "9.9.9.9:8189 tcp" in view["sentence"]


async def test_an_offer_that_was_refused_is_there_too_unless_its_camera_is_made_up(broker: RunningBroker) -> None:
    for camera in ("door", "made-up"):
        async with broker.http.post(f"/whep/{camera}", data=OFFER, headers=SDP) as answer:
            assert answer.status in (404, 503)
    (view,) = await broker.json("/api/why")
    assert (view["camera"], view["link"], view["over"]) == ("door", "server", True)
    assert "No egress process" in view["sentence"]
    assert "secret" not in str(view)
