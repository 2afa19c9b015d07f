"""A connection that is handed over is a viewer's from then on, and whatever else comes is not."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.cameras import CameraName
from common.clock import unix_ns
from common.control import Move, Offer
from common.handover import Handover
from common.log import Quiet
from common.media import Kind, Rendition, Track
from common.sessions import SessionName
from egress.media.streams import Streams
from egress.mse.departures import IN_A_TURN
from egress.mse.door import MAX_PENDING, Door
from egress.mse.viewers import MseViewers
from rigs.waiting import until
from tests.egress.mse.test_viewer import HEAD, picture
from tests.fakes.log import Recorder

SESSION = SessionName("secret")
H264 = Track(Kind.VIDEO, "H264", 90_000)


class NoBus:
    """In the place of the subscriber."""

    counters: dict[str, int] = {}  # noqa: RUF012 - never changed

    def subscribe(self, *_: object) -> None: ...

    def unsubscribe(self, *_: object) -> None: ...

    def request_replay(self, *_: object) -> None: ...


class Egress:
    """Viewers and their door, without the rest of the process."""

    def __init__(self) -> None:
        self.log = Recorder()
        self.began_ns = unix_ns()
        self.ended: list[tuple[str, str]] = []
        self.streams = Streams(NoBus())  # type: ignore[arg-type]
        now = asyncio.get_running_loop().time
        self.measured: list[str] = []
        self.viewers = MseViewers(
            self.streams,
            Quiet(self.log),  # type: ignore[arg-type]
            now,
            lambda *ended: self.ended.append(ended),  # type: ignore[arg-type]
            lambda **seconds: self.measured.extend(seconds),
        )
        self.door = Door(self.viewers)
        self.door.open()

    def accept(self, session: SessionName = SESSION) -> None:
        self.viewers.accept(Offer(session, CameraName("door"), "", (H264,), takes=("H264",)))

    def push(self, *numbers: int, size: int = 40, keyframe: bool | None = None) -> None:
        """Pictures with these numbers, captured from now on, 10 a second."""
        feed = self.streams.acquire("door").feeds[Kind.VIDEO]  # type: ignore[arg-type]
        for number in numbers:
            batch = picture(number % 200, keyframe=not number if keyframe is None else keyframe, size=size)
            at = self.began_ns + number * 100_000_000
            feed.push(batch._replace(timestamp=number * 9_000, capture_ns=at), 0.0)

    def hand_over(self, connection: socket.socket, session: str = SESSION, data: bytes | None = None) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            door.connect("\0" + self.door.address[1:])
            whole = bytes(Handover(SessionName(session), "192.0.2.1:5", HEAD))
            socket.send_fds(door, [whole if data is None else data], [connection.fileno()])


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    egress = Egress()
    yield egress
    egress.viewers.close()
    egress.door.close()


async def read(sock: socket.socket, size: int) -> bytes:
    loop, data = asyncio.get_running_loop(), b""
    sock.setblocking(False)
    async with asyncio.timeout(10):
        while len(data) < size:
            data += await loop.sock_recv(sock, 65_536)
    return data


@pytest.mark.parametrize("tcp", [True, False], ids=["handed over", "passed on"])
async def test_a_viewer_is_served_by_the_socket_that_comes(egress: Egress, tcp: bool) -> None:
    egress.accept()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        browser = socket.create_connection(listener.getsockname()) if tcp else None
        ours = listener.accept()[0] if tcp else None
        if browser is None or ours is None:
            browser, ours = socket.socketpair()
    with browser:
        with ours:
            egress.hand_over(ours)
        egress.push(0, 1)
        data = await read(browser, len(HEAD) + 1_000)
        assert data.startswith(HEAD)
        assert data.count(b"moof") == 2
        egress.viewers.sweep(asyncio.get_running_loop().time())
        assert egress.measured == ["connect", "first_picture"]
        (report,) = egress.viewers.reports(0.0)
        assert (report.remote, report.transport) == ("192.0.2.1:5", "websocket")
        assert egress.viewers.counters([report])["sent_packets"] == 2
    await until(lambda: bool(egress.ended))
    assert egress.ended == [(SESSION, "closed by the viewer")]
    assert not len(egress.viewers)
    assert [fields["reason"] for fields in egress.log.of("viewer left")] == ["closed by the viewer"]


async def test_of_a_crowd_that_leaves_at_once_each_turn_ends_a_few(egress: Egress) -> None:
    crowd = [SessionName(f"viewer-{number}") for number in range(5 * IN_A_TURN)]
    with contextlib.ExitStack() as stack:
        browsers = []
        for session in crowd:
            egress.accept(session)
            browser, ours = socket.socketpair()
            browsers.append(stack.enter_context(browser))
            with ours:
                egress.hand_over(ours, session)
            await until(lambda session=session: egress.viewers.get(session) is None)
        for browser in browsers:
            browser.close()
        before = 0
        while len(egress.viewers):
            await asyncio.sleep(0)
            assert len(egress.ended) - before <= IN_A_TURN
            before = len(egress.ended)
    assert sorted(session for session, _ in egress.ended) == sorted(crowd)


async def test_what_is_for_nobody_is_closed(egress: Egress) -> None:
    egress.accept()
    for session, data in (("stranger", None), (SESSION, b"garbage"), (SESSION, b"")):
        browser, ours = socket.socketpair()
        with browser:
            with ours:
                if data == b"":
                    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
                        door.connect("\0" + egress.door.address[1:])
                else:
                    egress.hand_over(ours, session, data)
            browser.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(browser, 1) == b""
    await until(lambda: egress.door.counters["handovers_strange"] == 3)
    assert SESSION in egress.viewers


async def test_a_session_has_one_connection(egress: Egress) -> None:
    egress.accept()
    first, ours = socket.socketpair()
    second, theirs = socket.socketpair()
    with first, second:
        with ours, theirs:
            egress.hand_over(ours)
            await until(lambda: egress.viewers.get(SESSION) is None)
            egress.hand_over(theirs)
        second.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(second, 1) == b""
        assert SESSION in egress.viewers


async def test_silent_ones_give_way_and_no_descriptor_is_left(egress: Egress) -> None:
    before = len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))
    silent = []
    for _ in range(MAX_PENDING + 8):
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.connect("\0" + egress.door.address[1:])
        silent.append(door)
        await asyncio.sleep(0)
    await until(lambda: len(egress.door._pending) == MAX_PENDING)
    for door in silent:
        door.close()
    await until(lambda: not egress.door._pending)
    assert len(list(Path(f"/proc/{os.getpid()}/fd").iterdir())) <= before


async def test_without_descriptors_it_waits_and_does_not_spin(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def none_left(_: socket.socket) -> None:
        tries.append(1)
        raise OSError(errno.EMFILE, "Too many open files")

    egress.accept()
    browser, ours = socket.socketpair()
    with browser:
        with monkeypatch.context() as patched, ours:
            patched.setattr(socket.socket, "accept", none_left)
            egress.hand_over(ours)
            await until(lambda: bool(tries))
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(tries) == 1
        assert (await read(browser, len(HEAD))).startswith(HEAD)


async def test_hanging_up_closes_the_connection_with_a_farewell(egress: Egress) -> None:
    egress.accept()
    browser, ours = socket.socketpair()
    with browser:
        with ours:
            egress.hand_over(ours)
        await until(lambda: egress.viewers.get(SESSION) is None)
        assert egress.viewers.hang_up(SESSION)
        assert (await read(browser, 20)).endswith(b"\x88\x09\x03\xe8hung up")
    assert not egress.viewers.hang_up(SESSION)
    assert egress.ended == []


async def test_a_viewer_is_moved_and_nobody_else_is(egress: Egress) -> None:
    egress.accept()
    assert egress.viewers.move(Move(SESSION, CameraName("door/sub"), (H264,)))
    assert not egress.viewers.move(Move(SessionName("stranger"), CameraName("door/sub"), (H264,)))
    egress.push(0)
    sub = egress.streams.acquire(Rendition("door/sub"))
    sub.feeds[Kind.VIDEO].push(picture(1, keyframe=True), 0.0)
    assert [report.camera for report in egress.viewers.reports(0.0)] == ["door/sub"]
