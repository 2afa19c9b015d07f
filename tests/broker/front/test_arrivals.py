"""The front door with TLS: handshakes are bounded and counted, plain requests are led to it, and a new certificate
disturbs nobody."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import uvloop
from cryptography import x509

from broker.front import arrivals, connections
from common.errors import ConfigError
from rigs.authority import Authority, Issued
from tests.fakes.broker import PATIENCE, RunningBroker, broker_in
from tests.fakes.log import Recorder

GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the begin of one


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Issued:
    return authority.issue("broker")


def settings(pair: Issued, **http: object) -> dict[str, object]:
    return {"listen": "127.0.0.1:0", "tls_cert": pair.cert, "tls_key": pair.key, **http}


@pytest.fixture
async def broker(
    tmp_path: Path, pair: Issued, log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningBroker]:
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.05)
    async with broker_in(tmp_path, http=settings(pair), limits={"connections": 5}) as broker:
        yield broker


def port_of(broker: RunningBroker) -> int:
    return int(broker.url.rstrip("/").rpartition(":")[2])


@contextlib.asynccontextmanager
async def connected(
    broker: RunningBroker, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    name = "127.0.0.1" if context else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(broker), ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything that comes until the connection is closed."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.file)


async def serial(broker: RunningBroker, authority: Authority) -> int:
    """The certificate's that a new connection gets."""
    async with connected(broker, trusting(authority)) as (_, writer):
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(found).serial_number


async def test_it_is_https_with_the_certificate(broker: RunningBroker, authority: Authority, pair: Issued) -> None:
    assert broker.url.startswith("https://127.0.0.1:")
    context = trusting(authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with connected(broker, context) as (reader, writer):
        secured = writer.get_extra_info("ssl_object")
        assert (secured.version(), secured.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await rest(reader)).startswith(b"HTTP/1.1 200 OK\r\n")
    assert await serial(broker, authority) == pair.serial
    async with broker.http.get("/metrics") as response:
        assert "\ncamshaft_certificate_expires_timestamp_seconds 1." in await response.text()


@pytest.mark.parametrize(("version", "taken"), [("TLSv1_1", False), ("TLSv1_2", True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_versions_are_refused(
    broker: RunningBroker, authority: Authority, version: str, taken: bool, log: Recorder
) -> None:
    context = trusting(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with contextlib.nullcontext() if taken else pytest.raises((ssl.SSLError, ConnectionError)):
        async with connected(broker, context) as (_, writer):
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
    assert await broker.counter("tls_failed") == (0 if taken else 1)
    assert len(log.of("TLS handshake failed")) == (0 if taken else 1)


async def test_an_origin_by_plain_http_is_none_of_ours(broker: RunningBroker) -> None:
    here = broker.url.removeprefix("https://").rstrip("/")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with broker.http.ws_connect("/ws", origin=f"http://{here}"):
            pass
    assert caught.value.status == 403
    async with broker.http.ws_connect("/ws", origin=f"https://{here}") as page:
        await page.send_str('{"type": "ping"}')
        assert (await page.receive_json())["type"] == "pong"


@pytest.mark.parametrize("start", [b"", HELLO])
async def test_a_handshake_that_does_not_end_closes_the_connection(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)
    async with connected(broker) as (reader, writer):
        writer.write(start)
        assert await rest(reader) == b""
    assert await broker.counter("tls_slow_handshake") == 1


async def test_a_head_that_does_not_arrive_closes_the_connection(
    broker: RunningBroker, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(broker, trusting(authority)) as (reader, writer):
        monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)
        writer.write(GET[:-2])
        assert await rest(reader) == b""
    assert await broker.counter("http_slow_head") == 1
    assert await broker.counter("tls_slow_handshake") == 0


async def test_one_that_gives_up_before_it_says_anything_has_no_place(broker: RunningBroker) -> None:
    for _ in range(20):  # four times as many as there are places
        async with connected(broker):
            pass
    assert (await broker.json("/healthz"))["status"] == "ok"


async def test_garbage_is_counted_and_floods_no_log(broker: RunningBroker, log: Recorder) -> None:
    for _ in range(20):
        async with connected(broker) as (reader, writer):
            writer.write(b"\x16\x03\x01\x00\x05garbage that is no handshake")
            assert GET not in await rest(reader)
    assert await broker.counter("tls_failed") == 20
    assert len(log.of("TLS handshake failed")) == 1


async def test_the_longest_handshake_makes_room(broker: RunningBroker, authority: Authority) -> None:
    async with contextlib.AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(connected(broker)) for _ in range(5)]
        for _, writer in waiting:
            writer.write(HELLO)
        reader, writer = await stack.enter_async_context(connected(broker, trusting(authority)))
        assert await rest(waiting[0][0]) == b""
        writer.write(GET)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    assert await broker.counter("http_idle_closed") >= 1


async def test_who_has_no_place_is_closed_before_a_handshake(
    tmp_path: Path, pair: Issued, authority: Authority, log: Recorder
) -> None:
    async with broker_in(tmp_path, http=settings(pair), limits={"connections": 2}) as broker:
        async with broker.http.ws_connect("/ws"), broker.http.ws_connect("/ws"):
            with pytest.raises(ConnectionError):
                async with connected(broker, trusting(authority)):
                    pass
        assert await broker.counter("http_limit_connections") == 1
        assert await broker.counter("tls_failed") == 0


async def test_handshakes_of_one_address_wait_for_each_other_and_keep_up_no_other(
    broker: RunningBroker, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "HANDSHAKES_EACH", 2)
    addresses = iter(["greedy"] * 3)
    monkeypatch.setattr("broker.front.quotas.Quotas.address", lambda _self, _peer: next(addresses, "other"))
    async with contextlib.AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(connected(broker)) for _ in range(2)]
        for _, writer in waiting:
            writer.write(HELLO)
        third = stack.enter_async_context(connected(broker, trusting(authority)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(patient := asyncio.ensure_future(third))
        assert await serial(broker, authority)
        waiting[0][1].transport.abort()
        reader, writer = await patient
        writer.write(GET)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"


async def test_one_that_waits_for_others_gives_up_its_place_as_they_do(
    broker: RunningBroker, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "HANDSHAKES_EACH", 1)
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.5)
    monkeypatch.setattr("broker.front.quotas.Quotas.address", lambda _self, _peer: "greedy")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            reader, writer = await stack.enter_async_context(connected(broker))
            writer.write(HELLO)
        assert await rest(reader) == b""
        assert await serial(broker, authority)
        assert await broker.counter("tls_slow_handshake") == 3


async def test_who_does_not_read_answers_is_cut_off(
    broker: RunningBroker, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STALL_TIMEOUT", 0.3)
    async with connected(broker, trusting(authority)) as (_, writer):
        writer.transport.pause_reading()
        with contextlib.suppress(ConnectionError):
            for _ in range(3_000):
                writer.write(b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await writer.drain()
        await broker.until("/api/nodes", lambda nodes: nodes[0]["counters"].get("http_slow_reader"))


async def test_plain_requests_on_the_port_are_led_to_https(broker: RunningBroker) -> None:
    async with connected(broker) as (reader, writer):
        writer.write(b"GET /watch/door?x=%20 HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
        answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 307 ")
    assert b"\r\nLocation: https://localhost:%d/watch/door?x=%%20\r\n" % port_of(broker) in answer
    assert await broker.counter("tls_failed") == 0


async def test_a_new_certificate_is_for_new_connections_and_disturbs_no_other(
    broker: RunningBroker, authority: Authority, pair: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.server.LOOK_INTERVAL", 0.02)
    new = authority.issue("new")
    async with broker.http.ws_connect("/ws") as page, connected(broker, trusting(authority)) as (reader, writer):
        assert await serial(broker, authority) == pair.serial != new.serial
        for source, target in ((new.cert, pair.cert), (new.key, pair.key)):
            target.write_bytes(source.read_bytes())
        async with asyncio.timeout(PATIENCE):
            while await serial(broker, authority) != new.serial:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.02)
        await page.send_str('{"type": "ping"}')
        assert (await page.receive_json())["type"] == "pong"
        writer.write(GET)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"


async def test_a_pair_that_cannot_be_used_keeps_the_broker_from_starting(tmp_path: Path, pair: Issued) -> None:
    pair.key.write_text("")
    with pytest.raises(ConfigError, match=r"http\.tls_key: .*broker\.key holds no private key"):
        async with broker_in(tmp_path, http=settings(pair)):
            pass


async def test_it_accepts_again_after_a_time_without_files(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch, log: Recorder
) -> None:
    monkeypatch.setattr(arrivals, "NO_FILES_PAUSE", 0.05)
    accept, failures = socket.socket.accept, iter([OSError(24, "Too many open files")] * 3)

    def failing(self: socket.socket) -> object:
        for failure in failures:
            raise failure
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    assert (await broker.json("/healthz"))["status"] == "ok"
    assert [line["reason"] for line in log.of("no connection can be accepted")] == ["Too many open files"]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_is_the_same_on_every_loop_and_leaves_nothing(
    tmp_path: Path,
    pair: Issued,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.05)
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 1.0)

    async def everything() -> None:
        async with contextlib.AsyncExitStack() as left:
            async with broker_in(tmp_path, http=settings(pair), limits={"connections": 4}) as broker:
                async with connected(broker) as (slow, hello), connected(broker) as (garbled, garbage):
                    hello.write(HELLO)
                    garbage.write(b"\x16 garbage")
                    assert await rest(slow) == b""
                    await rest(garbled)
                async with connected(broker) as (reader, writer):
                    writer.write(GET)
                    assert (await rest(reader)).startswith(b"HTTP/1.1 307 ")
                assert (await broker.json("/healthz"))["status"] == "ok"
                names = {"tls_slow_handshake", "tls_failed"}
                await broker.until("/api/nodes", lambda nodes: names <= nodes[0]["counters"].keys())
                for context in (None, trusting(authority)):  # these are there when it stops
                    await left.enter_async_context(connected(broker, context))
                _, writer = await left.enter_async_context(connected(broker))
                writer.write(HELLO)
            assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(everything())
