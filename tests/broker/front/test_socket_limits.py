"""Limits of what a page may do to the server by its socket: garbage, too much, too often, from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMessage, WSMsgType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from broker.front import message_rate, signalling
from broker.front.page_messages import MAX_MESSAGE
from rigs.waiting import until
from tests.fakes.broker import CAMERAS, RunningBroker, broker_in
from tests.fakes.page_socket import Page
from tests.fakes.workers import PATIENCE, FakeEgress


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("offer", "not_json"),
        ('{"type": "close"}', "invalid_message"),
        ('{"type": "dance"}', "unknown_type"),
        (json.dumps({"type": "offer", "camera": "door", "sdp": "x" * 66_000}), "too_large"),
    ],
    ids=lambda value: value[:50],
)
async def test_garbage_is_answered_and_counted(broker: RunningBroker, page: Page, egress, text: str, code: str) -> None:
    await page.socket.send_str(text)
    error = await page.next()
    assert (error["type"], error["code"]) == ("error", code)
    assert error["message"].endswith(".")
    assert await broker.counter(f"ws_{code}") == 1
    assert await page.watch()  # nothing is broken


async def test_binary_is_answered_and_counted(broker: RunningBroker, page: Page) -> None:
    await page.socket.send_bytes(b"\x00\xff")
    assert await page.error() == "not_json"
    assert await broker.counter("ws_not_json") == 1


async def test_a_frame_beyond_measure_closes_the_socket(broker: RunningBroker, page: Page) -> None:
    await page.socket.send_str("x" * (2 * MAX_MESSAGE + 1))  # of all pages at once this much can be half sent
    assert await page.closed() == 1009
    assert await broker.counter("ws_broken") == 1


async def test_lone_surrogates_do_no_harm(page: Page, egress: FakeEgress) -> None:
    await page.send(type="offer", camera="\ud800", sdp="x", id="\ud800")
    assert (await page.next("error"))["code"] == "unknown_camera"
    await page.send(type="offer", camera="door", sdp="\ud800")
    assert (await page.next("answer"))["sdp"] == "answer of ?"


async def test_sessions_of_one_socket_are_limited(page: Page, egress: FakeEgress, monkeypatch) -> None:
    monkeypatch.setattr(signalling, "MAX_SESSIONS", 2)
    egress.silent = True
    for i in range(2):
        await page.send(type="offer", camera="door", sdp=str(i))
    await page.send(type="offer", camera="door", sdp="one too many", id=3)
    error = await page.next("error")
    assert (error["code"], error["id"]) == ("too_many_sessions", 3)


async def test_a_page_at_its_limit_may_ask_for_its_own_sessions(page: Page, egress: FakeEgress, monkeypatch) -> None:
    monkeypatch.setattr(signalling, "MAX_SESSIONS", 1)
    session = await page.watch()
    await page.send(type="attach", session=session)
    assert (await page.next("attached"))["session"] == session
    await page.send(type="attach", session="another")
    assert await page.error() == "too_many_sessions"


async def test_messages_are_limited_in_rate(tmp_path: Path) -> None:
    rate = 0.1
    most = int(rate * message_rate.BURST_SECONDS)
    async with (
        broker_in(tmp_path, limits={"message_rate": rate}) as broker,
        broker.http.ws_connect("/ws") as socket,
    ):
        page = Page(socket)
        for _ in range(most + 1):
            await page.socket.send_str("7")
        errors = [await page.next("error") for _ in range(most + 1)]
        assert [error["code"] for error in errors] == ["invalid_message"] * most + ["rate_limited"]
        assert "limits.message_rate is 0.1" in errors[-1]["message"]
        assert await broker.counter("ws_rate_limited") == 1
        page.break_off()  # the server is in no hurry to read its farewell


@pytest.mark.parametrize("control", ["ping", "pong"])
async def test_pings_and_pongs_are_messages_too(tmp_path: Path, control: str) -> None:
    """Those that came at once were handled at once, and nobody else until they were."""
    rate = 0.1
    async with (
        broker_in(tmp_path, limits={"message_rate": rate}) as broker,
        broker.http.ws_connect("/ws", autoping=False) as socket,
    ):
        most = int(rate * message_rate.BURST_SECONDS)
        for _ in range(most + 1):
            await getattr(socket, control)(b"x")
        answers = [await socket.receive() for _ in range(most * (control == "ping") + 1)]
        assert [(answer.type, answer.data) for answer in answers[:-1]] == [(WSMsgType.PONG, b"x")] * (len(answers) - 1)
        assert answers[-1].json()["code"] == "rate_limited"
        Page(socket).break_off()


async def test_messages_without_a_limit_are_all_read(tmp_path: Path) -> None:
    async with (
        broker_in(tmp_path, limits={"message_rate": 0}) as broker,
        broker.http.ws_connect("/ws") as socket,
    ):
        page = Page(socket)
        for _ in range(2_100):
            await page.socket.send_str("7")
        assert {await page.error() for _ in range(2_100)} == {"invalid_message"}


@pytest.mark.thorough
@pytest.mark.parametrize("count", [10_000, 200_000])
async def test_a_page_that_says_too_much_and_is_gone_leaves_nothing(tmp_path: Path, count: int) -> None:
    """Messages that come with the handshake are read at the pace of the limit: of many the end is not read for long."""
    async with broker_in(tmp_path, limits={"message_rate": 1.0}) as broker, talking(broker, count) as writer:
        messages = [each for each in gc.get_objects() if type(each) is WSMessage]
        assert len(messages) < 100, "the others are bytes as long as they wait: a message takes thirty times as many"
        writer.transport.abort()
        await until_nobody()


@pytest.mark.thorough
async def test_a_page_that_says_too_much_and_stays_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its messages that wait take memory for as long."""
    monkeypatch.setattr(message_rate, "PATIENCE", 0.1)
    async with broker_in(tmp_path, limits={"message_rate": 1.0}) as broker, talking(broker, 200_000):
        await until_nobody()
        assert await broker.counter("ws_flood") == 1


@contextlib.asynccontextmanager
async def talking(broker: RunningBroker, count: int) -> AsyncIterator[asyncio.StreamWriter]:
    """A page that sends so many empty pings behind its handshake, of which one was too much by now."""
    at = URL(broker.url)
    said = {
        "Host": at.authority,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    head = "GET /ws HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in said.items()) + "\r\n"
    reader, writer = await asyncio.open_connection(at.host, at.port)
    try:
        writer.write(head.encode() + b"\x89\x80\0\0\0\0" * count)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        assert len(sockets()) == 1
        async with asyncio.timeout(PATIENCE):
            while not await broker.counter("ws_rate_limited"):  # noqa: ASYNC110 - it has to be asked
                await asyncio.sleep(0.05)
        yield writer
    finally:
        writer.transport.abort()


async def until_nobody() -> None:
    await until(lambda: not sockets(), PATIENCE)


def sockets() -> list[signalling.Socket]:
    """All that are served."""
    return [each for each in gc.get_objects() if isinstance(each, signalling.Socket)]


@pytest.mark.thorough
async def test_a_page_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    """Many messages or few: what counts is the memory that they take."""
    limits = {"socket_queue": 1 << 20}
    async with (
        broker_in(tmp_path, cameras=CAMERAS, limits=limits) as broker,
        FakeEgress(broker.endpoints, "out-1"),
        broker.http.ws_connect("/ws") as unread,
    ):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        with contextlib.suppress(ConnectionError):
            for i in range(signalling.MAX_SESSIONS):  # 15 MB of answers: more than a kernel and a client buffer
                await Page(unread).send(type="offer", camera="door", sdp=f"{i:060000}")
        await broker.until("/api/nodes", lambda nodes: nodes[0]["counters"].get("ws_slow_page"))
        await Page(unread).closed()


async def test_sockets_are_limited(tmp_path: Path) -> None:
    async with broker_in(tmp_path, limits={"sockets": 1}) as broker:
        async with broker.http.ws_connect("/ws"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await broker.http.ws_connect("/ws")
            assert caught.value.status == 503
            assert caught.value.headers["Retry-After"] == "1"
            assert "limits.sockets is 1" in (await broker.json("/api/arrival"))["refused"]  # a page sees no status
        async with asyncio.timeout(PATIENCE):
            while True:  # the first one's place is free as soon as its end was noticed
                with contextlib.suppress(aiohttp.WSServerHandshakeError):
                    async with broker.http.ws_connect("/ws"):
                        break


async def test_plain_http_is_told_to_upgrade(broker: RunningBroker) -> None:
    asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "é"}
    async with broker.http.get("/ws", headers=asked) as response:
        assert response.status == 426, "a key that is none"
    async with broker.http.get("/ws") as response:
        assert response.status == 426
        assert (response.headers["Upgrade"], response.headers["Connection"]) == ("websocket", "Upgrade")
        assert (await response.json())["code"] == "upgrade_required"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [(None, True), ("same", True), ("https://elsewhere.example", False), ("null", False), ("", False)],
)
async def test_pages_of_other_origins_are_refused(broker: RunningBroker, origin: str | None, allowed: bool) -> None:
    if origin == "same":
        origin = broker.url.rstrip("/")
    headers = {} if origin is None else {"Origin": origin}
    if allowed:
        async with broker.http.ws_connect("/ws", headers=headers):
            return
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await broker.http.ws_connect("/ws", headers=headers)
    assert caught.value.status == 403


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["offer", "candidate", "restart", "close", "attach"]) | values},
    optional={
        "camera": values,
        "sdp": values,
        "session": values,
        "candidate": values,
        "fragment": values,
        "id": values,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=messages)
async def test_any_message_gets_an_error_or_its_due(page: Page, message: dict[str, Any]) -> None:
    await page.send(**message)
    await page.send(type="the end")
    codes = {"invalid_message", "unknown_type", "unknown_camera", "unknown_session", "no_egress", "too_many_sessions"}
    while not (answer := await page.next("error"))["message"].startswith("There is no such message"):
        assert answer["code"] in codes
