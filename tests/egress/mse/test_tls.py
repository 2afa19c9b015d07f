"""A broker on another machine brings viewers by TLS to the TCP port, where WebRTC's viewers come as well."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from common.bucket import TokenBucket, TokenBuckets
from common.handover import LENGTH, Handover
from common.sessions import SessionName
from egress.mse import tls
from egress.mse.tls import MAX_PENDING, TlsDoor
from egress.mse.websocket import Opcode
from egress.wire.tcp_port import TcpPort
from tests.egress.mse.test_door import SESSION, Egress, until
from tests.egress.mse.test_viewer import HEAD, Browser


class NoViewers:
    """WebRTC's, of which there is none."""

    def receive(self, *_: object) -> None: ...

    def holds(self, _: object) -> bool:
        return False

    def lost(self, _: object) -> None: ...


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    egress = Egress()
    yield egress
    egress.viewers.close()
    egress.door.close()


@asynccontextmanager
async def listening(egress: Egress) -> AsyncIterator[tuple[TlsDoor, int]]:
    port = TcpPort("127.0.0.1", 0)
    port.start(NoViewers())  # type: ignore[arg-type]
    door = TlsDoor(egress.viewers, egress.door.counters)
    port.on_tls = door.take
    try:
        yield door, port.number
    finally:
        door.close()
        port.close()


async def connected(door: TlsDoor, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert hashlib.sha256(shown).hexdigest() == door.fingerprint
    return reader, writer


def words(session: str = SESSION) -> bytes:
    data = bytes(Handover(SessionName(session), "192.0.2.1:5", HEAD))
    return len(data).to_bytes(LENGTH) + data


async def test_a_viewer_is_served_through_tls_and_one_that_is_slow_skips(egress: Egress) -> None:
    egress.accept()
    async with listening(egress) as (door, port), asyncio.timeout(20):
        reader, writer = await connected(door, port)
        whole = words()
        for at in range(len(whole)):  # in pieces
            writer.write(whole[at : at + 1])
            await writer.drain()
        assert (await reader.readexactly(len(HEAD))) == HEAD
        egress.push(0)
        egress.push(1, size=60_000)  # several records of TLS
        browser = Browser(taken=bytearray(HEAD))
        while len(browser.pictures()) < 2:
            browser.taken += await reader.read(4_096)
        assert browser.pictures() == [0, 1]
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads, too
        number = 2
        while not egress.viewers.reports(0.0)[0].dropped:
            egress.push(number, size=100_000, keyframe=number % 20 == 0)
            number += 1
            await asyncio.sleep(0)
        writer.transport.resume_reading()  # type: ignore[attr-defined]  # likewise
        (report,) = egress.viewers.reports(0.0)
        assert (report.remote, report.transport) == ("192.0.2.1:5", "websocket")
        writer.close()
        await until(lambda: bool(egress.ended))
    assert egress.ended == [(SESSION, "closed by the viewer")]


async def test_a_farewell_gets_through(egress: Egress) -> None:
    egress.accept()
    async with listening(egress) as (door, port), asyncio.timeout(20):
        reader, writer = await connected(door, port)
        writer.write(words())
        await reader.readexactly(len(HEAD))
        egress.viewers.hang_up(SESSION)
        assert (await reader.read()).endswith(b"\x88\x09\x03\xe8hung up")
        writer.close()


async def test_what_a_viewer_says_right_behind_the_words_is_heard(egress: Egress) -> None:
    egress.accept()
    async with listening(egress) as (door, port), asyncio.timeout(20):
        reader, writer = await connected(door, port)
        writer.write(words() + b"\x89\x84\0\0\0\0ping")  # one record of TLS
        browser = Browser(taken=bytearray())
        while (Opcode.PONG, b"ping") not in browser.messages():
            browser.taken += await reader.readexactly(1)
        writer.close()


@pytest.mark.parametrize("said", [b"", words("stranger"), b"\0\0", b"\xff\xff", b"\0\x05hello"])
async def test_who_says_anything_else_is_sent_away(egress: Egress, said: bytes) -> None:
    egress.accept()
    async with listening(egress) as (door, port), asyncio.timeout(20):
        reader, writer = await connected(door, port)
        writer.write(said)
        if said in (b"", b"\0\0"):
            door.sweep(asyncio.get_running_loop().time() + tls.PENDING_TIMEOUT + 1)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        await until(lambda: egress.door.counters["handovers_strange"] == 1)
        assert SESSION in egress.viewers


async def test_a_stranger_has_few_handshakes_a_second(egress: Egress) -> None:
    async with listening(egress) as (door, port), asyncio.timeout(20):
        shaken = 0
        door._handshakes_of = TokenBuckets(3, 0.0, 10)
        for _ in range(5):
            with contextlib.suppress(OSError):
                _, writer = await connected(door, port)
                shaken += 1
                writer.transport.abort()
        assert shaken == 3
        door._handshakes_of, door._handshakes = TokenBuckets(3, 0.0, 10), TokenBucket(0, 0.0)
        with pytest.raises(OSError):
            await connected(door, port)


async def test_what_begins_as_tls_and_is_none_is_closed_and_silent_ones_give_way(egress: Egress) -> None:
    async with listening(egress) as (door, port), asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03 and no more of it" * 10)
        await reader.read()
        writer.close()
        others = []
        for _ in range(MAX_PENDING + 1):
            others.append(await asyncio.open_connection("127.0.0.1", port))
            others[-1][1].write(b"\x16\x03\x01")
        await until(lambda: len(door._pending) == MAX_PENDING)
        await others[0][0].read()
        for _, each in others:
            each.close()
        await until(lambda: not door._pending)
