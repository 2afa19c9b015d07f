"""Sessions over a page's socket: who owns them, what ends them, and what a page may not do to the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.front import signalling
from common.cameras import CameraState
from common.control import Answered, Ended, HangUp, Move, Offer, RestartIce
from tests.fakes.broker import CAMERAS, RunningBroker, broker_in
from tests.fakes.page_socket import Page
from tests.fakes.workers import FakeEgress

FRAGMENT = "a=ice-ufrag:newufrag\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


async def test_an_offer_is_answered(page: Page, egress: FakeEgress) -> None:
    await page.send(type="offer", camera="door", sdp="sdp")
    answer = await page.next()
    offer = await egress.told(Offer)
    assert answer == {"type": "answer", "session": offer.session, "camera": "door", "sdp": "answer of sdp"}
    assert await page.next() == {"type": "candidate", "session": offer.session, "candidate": ""}
    assert await page.next() == {
        "type": "camera",
        "camera": "door",
        "name": "door",
        "group": "",
        "order": 0,
        "state": "connecting",
        "sentence": CameraState.CONNECTING.sentence,
        "detail": "",
        "failed": False,
        "video": "",
        "sound": "",
        "for_all": True,
    }


@pytest.mark.parametrize("id", ["x", "", 7])
async def test_an_answer_and_an_error_carry_the_id_of_their_offer(page: Page, egress: FakeEgress, id: object) -> None:
    await page.send(type="offer", camera="door", sdp="sdp", id=id)
    assert (await page.next("answer"))["id"] == id
    await page.send(type="offer", camera="porch", sdp="sdp", id=id)
    error = await page.next("error")
    assert (error["id"], error["code"], error["camera"]) == (id, "unknown_camera", "porch")


@pytest.mark.thorough
async def test_ice_is_restarted_in_the_session(page: Page, egress: FakeEgress) -> None:
    session = await page.watch()
    await page.send(type="restart", session=session, fragment=FRAGMENT, id=3)
    expected = {"session": session, "fragment": "a=ice-ufrag:for-newufrag\r\n", "id": 3}
    assert await page.next("restarted") == {"type": "restarted"} | expected
    asked = await egress.told(RestartIce)
    assert (asked.session, asked.ufrag, asked.password) == (session, "newufrag", "P2uYro0UCOQ4zxjKXaWCBui1")
    for fragment, code in (("nonsense", "malformed_sdpfrag"), ("a=ice-ufrag:alone\r\n", "malformed_sdpfrag")):
        await page.send(type="restart", session=session, fragment=fragment, id="x")
        error = await page.next("error")
        assert (error["code"], error["session"], error["id"]) == (code, session, "x")
    egress.refusal = (429, "ice_restart_rate", "Too often.")
    await page.send(type="restart", session=session, fragment=FRAGMENT)
    assert await page.error() == "ice_restart_rate"
    await page.send(type="restart", session="another", fragment=FRAGMENT)
    assert await page.error() == "unknown_session"


async def test_offers_are_handled_at_the_same_time(page: Page, egress: FakeEgress) -> None:
    egress.silent = True
    await page.send(type="offer", camera="door", sdp="slow", id=1)
    await egress.told(Offer)
    egress.silent = False
    await page.send(type="offer", camera="yard", sdp="quick", id=2)
    assert (await page.next("answer"))["id"] == 2


async def test_what_the_egress_refuses_is_passed_on(page: Page, egress: FakeEgress) -> None:
    egress.refusal = (406, "no_codec", "H.265 only.")
    await page.send(type="offer", camera="door", sdp="sdp")
    assert await page.next() == {"type": "error", "code": "no_codec", "message": "H.265 only.", "camera": "door"}


async def test_candidates_of_a_session_are_no_error_and_need_no_answer(page: Page, egress: FakeEgress) -> None:
    session = await page.watch()
    for candidate in ("candidate:1", ""):
        await page.send(type="candidate", session=session, candidate=candidate, sdpMid="0", sdpMLineIndex=0)
    await page.send(type="ping")
    assert (await page.next("pong", "error"))["type"] == "pong"


async def test_a_viewer_gets_the_stream_that_it_asks_for_and_another_one_as_it_shows_the_picture(
    tmp_path: Path,
) -> None:
    cameras = {"door": {"url": "rtsp://host/door", "streams": {"sub": {"url": "rtsp://host/sub"}}}}
    async with broker_in(tmp_path, cameras=cameras) as broker, FakeEgress(broker.endpoints, "out-1") as egress:
        async with broker.http.ws_connect("/ws") as socket:
            page = Page(socket)
            await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
            for fields, stream in (({}, "door"), ({"stream": "sub"}, "door/sub"), ({"height": 180}, "door/sub")):
                await page.send(type="offer", camera="door", sdp="x", **fields)
                session = (await page.next("answer"))["session"]
                assert (await egress.told(Offer)).camera == stream
            await page.send(type="show", session=session, height=1_080)
            assert await egress.told(Move) == Move(session, "door")
            for fields, code in (
                ({"type": "show", "session": session, "height": -1}, "invalid_height"),
                ({"type": "show", "session": session, "stream": "third"}, "invalid_stream"),
                ({"type": "show", "session": session, "height": True}, "invalid_height"),
                ({"type": "show", "session": "x", "height": 5}, "unknown_session"),
                ({"type": "offer", "camera": "door", "sdp": "x", "stream": "third"}, "invalid_stream"),
                ({"type": "offer", "camera": "door", "sdp": "x", "height": 1 << 70}, "invalid_height"),
                ({"type": "offer", "camera": "door/sub", "sdp": "x"}, "unknown_camera"),
            ):
                await page.send(**fields)
                assert (await page.next("error"))["code"] == code
            viewers = await broker.json("/api/viewers")
            assert {viewer["camera"] for viewer in viewers} == {"door"}
            assert {viewer["stream"] for viewer in viewers} == {"main", "sub"}
        shown = await broker.json("/api/cameras/door")
        assert {name: stream["url"] for name, stream in shown["streams"].items()} == {
            "main": "rtsp://host/door",
            "sub": "rtsp://host/sub",
        }
        assert [camera["id"] for camera in await broker.json("/api/cameras")] == ["door"]


async def test_a_session_is_closed(page: Page, egress: FakeEgress) -> None:
    session = await page.watch()
    other = await page.watch("yard")
    await page.send(type="close", session=session)
    assert await egress.told(HangUp) == HangUp(session)
    await page.send(type="close", session=session)
    assert await page.error() == "unknown_session"
    await page.send(type="close", session=other)
    await egress.until(lambda: HangUp(other) in egress.messages)  # it may have been told of the first once more


@pytest.mark.parametrize("kind", ["candidate", "close"])
async def test_the_session_of_another_socket_is_out_of_reach(broker, page: Page, egress, kind: str) -> None:
    session = await page.watch()
    async with broker.http.ws_connect("/ws") as socket:
        stranger = Page(socket)
        await stranger.send(type=kind, session=session, candidate="candidate:1")
        assert await stranger.error() == "unknown_session"
    assert [message for message in egress.messages if not isinstance(message, Offer)] == []


async def test_a_session_that_its_egress_ends(page: Page, egress: FakeEgress) -> None:
    session = await page.watch()
    egress.send(Ended(session, "consent expired"))
    close = {"type": "close", "session": session, "reason": "ended_by_egress", "sentence": "consent expired"}
    assert await page.next("close") == close
    await page.send(type="close", session=session)
    assert await page.error() == "unknown_session"


async def test_a_session_whose_egress_restarts(page: Page, egress: FakeEgress) -> None:
    session = await page.watch()
    egress.report(incarnation="2", viewers=())
    close = {"session": session, "reason": "worker_restarted", "sentence": "The process was started again."}
    assert await page.next("close") == {"type": "close"} | close


async def test_a_session_that_ends_with_its_answer(page: Page, egress: FakeEgress) -> None:
    """Answer and end arrive together, before the page's offer was looked at again."""
    egress.silent = True
    await page.send(type="offer", camera="door", sdp="sdp")
    offer = await egress.told(Offer)
    egress.send(Answered(offer.session, "answer"))
    egress.send(Ended(offer.session, "at once"))
    assert (await page.next("close"))["session"] == offer.session


async def test_sessions_end_when_the_page_closes_its_socket(page: Page, egress: FakeEgress) -> None:
    sessions = {await page.watch(), await page.watch("yard")}
    await page.socket.close(code=1001)
    await egress.until(lambda: sessions == {each.session for each in egress.messages if isinstance(each, HangUp)})


async def test_an_offer_ends_when_the_page_closes_its_socket(page: Page, egress: FakeEgress) -> None:
    egress.silent = True
    await page.send(type="offer", camera="door", sdp="sdp")
    offer = await egress.told(Offer)
    await page.socket.close()
    assert await egress.told(HangUp) == HangUp(offer.session)


async def test_sessions_outlive_a_connection_that_breaks(broker, page: Page, egress: FakeEgress) -> None:
    session = await page.watch()
    page.break_off()
    async with broker.http.ws_connect("/ws") as socket:
        again = Page(socket)
        await again.send(type="attach", session=session)
        assert await again.next() == {"type": "attached", "session": session, "camera": "door"}
        assert (await again.next())["type"] == "camera"
        await again.send(type="close", session=session)
        assert await egress.told(HangUp) == HangUp(session)


async def test_sessions_outlive_a_connection_that_the_page_gives_up(broker, page: Page, egress: FakeEgress) -> None:
    session = await page.watch()
    await page.socket.close(code=signalling.SESSIONS_STAY)
    async with broker.http.ws_connect("/ws") as socket:
        again = Page(socket)
        await again.send(type="attach", session=session)
        assert (await again.next())["type"] == "attached"
    assert await egress.told(HangUp) == HangUp(session)  # only the second was closed for good


async def test_a_session_belongs_to_the_socket_that_attached_last(broker, page: Page, egress: FakeEgress) -> None:
    session = await page.watch()
    async with broker.http.ws_connect("/ws") as socket:
        second = Page(socket)
        await second.send(type="attach", session=session)
        await second.next("attached")
        await page.socket.close()
        egress.send(Ended(session, "done"))
        assert (await second.next("close"))["session"] == session
    assert not [message for message in egress.messages if isinstance(message, HangUp)]


@pytest.mark.parametrize("session", ["made-up", ""])
async def test_attaching_to_nothing(page: Page, session: str, monkeypatch) -> None:
    monkeypatch.setattr("broker.director.state.GRACE", 0.2)
    await page.send(type="attach", session=session)
    assert await page.error() == "unknown_session"


async def test_a_session_outlives_its_broker(tmp_path: Path, egress: FakeEgress, page: Page) -> None:
    session = await page.watch()
    async with (
        broker_in(tmp_path, store={"path": tmp_path / "second.db"}, cameras=CAMERAS) as second,
        second.http.ws_connect("/ws") as socket,
        FakeEgress(second.endpoints, "out-1") as moved,
    ):
        again = Page(socket)
        await again.send(type="attach", session=session)
        moved.report(viewers=egress.state.viewers)
        assert (await again.next("attached"))["session"] == session
        moved.send(Ended(session, "done"))
        assert (await again.next("close"))["session"] == session


async def test_stopping_tells_pages_to_come_back_and_leaves_sessions_alone(tmp_path: Path) -> None:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker, FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        socket = await broker.http.ws_connect("/ws")
        page = Page(socket)
        await page.watch()
        broker.stop.set()
        assert await page.closed() == signalling.SERVICE_RESTART
        await broker.task
        assert not [message for message in egress.messages if isinstance(message, HangUp)]


async def test_a_page_can_ask_whether_the_server_still_answers(page: Page) -> None:
    await page.send(type="ping")
    assert await page.next() == {"type": "pong"}


async def test_sessions_of_a_removed_camera_end(broker: RunningBroker, page: Page, egress: FakeEgress) -> None:
    await broker.http.post("/api/cameras", json={"id": "porch", "url": "rtsp://host/"})
    session = await page.watch("porch")
    await broker.http.delete("/api/cameras/porch")
    close = {"session": session, "reason": "camera_removed", "sentence": "The camera was removed."}
    assert await page.next("close") == {"type": "close"} | close
