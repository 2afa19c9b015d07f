"""Connections that are of no use are closed, and those that are too many are refused, while others are served."""

import asyncio
import contextlib
import gc
import json
import time
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp.http_exceptions import HttpProcessingError

from broker.front import connections
from broker.front.quotas import Counted, over
from rigs.waiting import until
from tests.fakes.broker import PATIENCE, RunningBroker, broker_in
from tests.fakes.log import Recorder

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
async def broker(tmp_path: Path, monkeypatch, log: Recorder) -> AsyncIterator[RunningBroker]:
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.05)
    async with broker_in(tmp_path, limits={"connections": 5}, cameras={"door": {"url": "rtsp://host/"}}) as broker:
        yield broker


class Client:
    """A bare TCP connection to the broker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @property
    def closed(self) -> bool:
        """Whether the broker has closed the connection; with a reset, where it had not read all."""
        return self.reader.at_eof() or isinstance(self.reader.exception(), ConnectionError)

    async def answer(self) -> bytes:
        """The status line of the next answer, which is read as a whole; empty if the connection was closed."""
        return (await self._answer())[0]

    async def problem(self) -> dict[str, Any]:
        """The next answer's body, which is a problem's."""
        found: dict[str, Any] = json.loads((await self._answer())[1])
        return found

    async def _answer(self) -> tuple[bytes, bytes]:
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await self.reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                return head.partition(b"\r\n")[0], await self.reader.readexactly(length)
        return b"", b""


@contextlib.asynccontextmanager
async def connected(broker: RunningBroker) -> AsyncIterator[Client]:
    host, _, port = broker.url.removeprefix("http://").rstrip("/").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "garbage",
    [
        bytes(1 << 20),
        b"GET /healthz HTTP/1.1\r\n" + b"X-A: %s\r\n" % bytes(100).replace(b"\0", b"a") * 10_000,
        b"GET /" + b"a" * (1 << 20),
        GET + bytes(1 << 20),
    ],
    ids=["no HTTP", "headers", "a line", "behind a request"],
)
async def test_nothing_is_kept_of_what_cannot_be_read(broker: RunningBroker, garbage: bytes) -> None:
    """aiohttp's errors quote what they met, and hold each other, and the collector comes rarely."""
    with no_collector():
        quoted = 0
        for _ in range(3):
            async with connected(broker) as client:
                client.writer.write(garbage)
                async with asyncio.timeout(PATIENCE):
                    while not client.closed:
                        quoted = max(quoted, sum(len(str(error)) for error in parse_errors()))
                        with contextlib.suppress(ConnectionError):
                            await client.reader.read(1_000)
        await until(lambda: not parse_errors(), PATIENCE)
        assert quoted < 200_000, "and little of it while it is answered"


@pytest.mark.parametrize(
    "failing",
    [
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 8_000 + b"\r\n\r\n",
        b"POST /whep/door HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 9999\r\n\r\n"
        + b"a" * 8_000,
    ],
    ids=["refused", "not waited for"],
)
async def test_what_failed_requests_leave_is_collected_by_its_size(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch, failing: bytes
) -> None:
    monkeypatch.setattr(connections, "COLLECT_AFTER", 40_000)
    monkeypatch.setattr(connections, "COLLECT_PAUSE", 0)
    with no_collector():
        before = number_alive()
        for _ in range(30):
            async with connected(broker) as client:
                client.writer.write(failing)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await client.reader.read(100)
        assert number_alive() - before < 15
        monkeypatch.setattr(connections, "COLLECT_REST", 1)
        monkeypatch.setattr(connections, "COLLECT_INTERVAL", 0.0)
        await until(lambda: number_alive() <= before + 2, PATIENCE)


async def test_many_bytes_call_the_collector_no_more_often_than_it_takes(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's body that nobody reads may come as fast as the line is."""
    calls: list[float] = []

    def slow(*_: object) -> int:
        calls.append(time.monotonic())
        time.sleep(0.02)
        return 0

    monkeypatch.setattr(connections, "COLLECT_AFTER", 1_000)
    monkeypatch.setattr(connections.gc, "collect", slow)
    async with connected(broker) as client:
        client.writer.write(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n")
        for _ in range(30):
            client.writer.write(b"a" * 2_000)
            await asyncio.sleep(0.01)
    assert calls
    assert all(after - before >= connections.COLLECT_PAUSE * 0.02 for before, after in pairwise(calls))


def number_alive() -> int:
    """Connections that there are, whether or not anybody still has a use for them."""
    return sum(isinstance(each, connections.Connection) for each in gc.get_objects())


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """Nothing goes that other things still refer to."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def parse_errors() -> list[HttpProcessingError]:
    """All that are alive."""
    return [each for each in gc.get_objects() if isinstance(each, HttpProcessingError)]


@pytest.mark.parametrize("start", [b"", b"GET", GET[:-2]])
async def test_a_head_that_does_not_arrive_closes_the_connection(broker, monkeypatch, start: bytes) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)
    async with connected(broker) as client:
        client.writer.write(start)
        assert await client.answer() == b""
    assert await broker.counter("http_slow_head") == 1


async def test_a_head_that_comes_byte_by_byte_gets_no_more_time(broker: RunningBroker, monkeypatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 1.0)
    async with connected(broker) as client:
        client.writer.write(GET)
        assert await client.answer() == b"HTTP/1.1 200 OK"
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 1_000:
                client.writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
                if client.closed:
                    break
        assert client.closed


async def test_a_connection_that_is_idle_between_requests_is_kept(broker: RunningBroker, monkeypatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 1.0)
    async with connected(broker) as client:
        client.writer.write(GET)
        assert await client.answer() == b"HTTP/1.1 200 OK"
        await asyncio.sleep(1.5)
        client.writer.write(GET)
        assert await client.answer() == b"HTTP/1.1 200 OK"


async def test_a_body_that_does_not_arrive_is_answered(broker: RunningBroker, monkeypatch) -> None:
    monkeypatch.setattr("broker.front.bodies.BODY_TIMEOUT", 0.2)
    async with connected(broker) as client:
        head = (
            b"POST /whep/door HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 9\r\n\r\n"
        )
        client.writer.write(head + b"v=0")
        assert await client.answer() == b"HTTP/1.1 408 Request Timeout"


async def test_who_does_not_read_answers_is_cut_off(broker: RunningBroker, monkeypatch) -> None:
    monkeypatch.setattr(connections, "STALL_TIMEOUT", 0.3)
    async with connected(broker) as client:
        client.writer.transport.pause_reading()
        with contextlib.suppress(ConnectionError):
            for _ in range(3_000):  # 30 MB of answers: more than the kernel keeps
                client.writer.write(b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await client.writer.drain()
        await broker.until("/api/nodes", lambda nodes: nodes[0]["counters"].get("http_slow_reader"))


async def test_the_longest_idle_connection_makes_room(broker: RunningBroker) -> None:
    async with contextlib.AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(broker)) for _ in range(6)]
        assert await idle[0].answer() == b""
        idle[-1].writer.write(GET)
        assert await idle[-1].answer() == b"HTTP/1.1 200 OK"
    assert await broker.counter("http_idle_closed") >= 1


async def test_an_address_beyond_its_own_limit_costs_no_other_its_place(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = iter([*"abcde", *"ffff"])
    monkeypatch.setattr("broker.front.quotas.Quotas.address", lambda _self, _peer: next(addresses, "f"))
    monkeypatch.setattr("broker.front.quotas.Counted.check_each", refuse_f)
    async with contextlib.AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(broker)) for _ in range(5)]
        for _ in range(4):
            greedy = await stack.enter_async_context(connected(broker))
            assert await greedy.answer() == b"HTTP/1.1 503 Service Unavailable"
        for client in idle:
            client.writer.write(GET)
            assert await client.answer() == b"HTTP/1.1 200 OK"


def refuse_f(_counted: Counted, address: str | None) -> None:
    if address == "f":
        raise over("connections_per_address", 0, "Your address can have no more connections at once")


@pytest.mark.thorough
async def test_a_thousand_idle_connections_keep_nobody_out(tmp_path: Path) -> None:
    async with broker_in(tmp_path, limits={"connections": 500}) as broker, contextlib.AsyncExitStack() as stack:
        for _ in range(1_100):
            await stack.enter_async_context(connected(broker))
        assert (await broker.json("/healthz"))["status"] == "ok"


async def test_connections_in_use_are_not_closed_for_others(tmp_path: Path) -> None:
    async with broker_in(tmp_path, limits={"connections": 2}) as broker:
        async with broker.http.ws_connect("/ws"), broker.http.ws_connect("/ws"), connected(broker) as third:
            assert await third.answer() == b"HTTP/1.1 503 Service Unavailable"
        assert await broker.counter("http_limit_connections") == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/9\r\n\r\n",
        b"GET / HTTP/1.1\r\n:\r\n\r\n",
        b"GET /none HTTP/1.1\r\nHost: localhost\r\nExpect: \x8d\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_and_floods_no_log(
    broker: RunningBroker, garbage: bytes, log: Recorder
) -> None:
    for _ in range(20):
        async with connected(broker) as client:
            client.writer.write(garbage)
            assert (await client.answer()).endswith(b" 400 Bad Request")
    assert await broker.counter("http_garbage") == 20
    assert len(log.of("request cannot be read")) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nCookie: a=%s\r\n\r\n",
    ],
)
async def test_a_head_has_a_size_that_can_be_set(tmp_path: Path, head: bytes) -> None:
    async with broker_in(tmp_path, limits={"head_bytes": 20_000}) as broker:
        async with connected(broker) as client:
            client.writer.write(head % (b"x" * 19_000))
            assert (await client.answer()).startswith((b"HTTP/1.1 200", b"HTTP/1.1 404"))
        async with connected(broker) as client:
            client.writer.write(head % (b"x" * 21_000))
            answer = await client.problem()
            assert (answer["status"], answer["code"]) == (431, "limit_head_bytes")
            assert "limits.head_bytes is 20000" in answer["detail"]


async def test_a_body_has_a_size_that_can_be_set(tmp_path: Path) -> None:
    async with broker_in(tmp_path, limits={"body_bytes": 100_000}, cameras={"door": {"url": "rtsp://host/"}}) as broker:
        for size, status in ((90_000, 400), (110_000, 413)):
            headers = {"Content-Type": "application/sdp"}
            async with broker.http.post("/whep/door", data=" " * size, headers=headers) as answer:
                assert answer.status == status
                detail = (await answer.json())["detail"]
        assert detail == "The body is larger than 100000 bytes (limits.body_bytes)."


async def test_how_long_a_connection_may_be_idle_can_be_set(tmp_path: Path) -> None:
    async with broker_in(tmp_path, limits={"idle_timeout": 1}) as broker, connected(broker) as client:
        client.writer.write(GET)
        assert await client.answer() == b"HTTP/1.1 200 OK"
        assert await client.answer() == b"", "it is closed, long before a minute is over"


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_is_the_same_on_every_loop(tmp_path: Path, monkeypatch, loop) -> None:
    """uvloop's transports are not asyncio's."""
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.05)
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 1.0)
    monkeypatch.setattr(connections, "STALL_TIMEOUT", 1.0)

    async def everything() -> None:
        async with broker_in(tmp_path, limits={"connections": 3}) as broker:
            async with connected(broker) as slow, connected(broker) as client:
                slow.writer.write(GET[:-2])
                client.writer.write(GET)
                assert await client.answer() == b"HTTP/1.1 200 OK"
                assert await slow.answer() == b""
                client.writer.write(b"\x16\x03\x01\r\n\r\n")
                assert (await client.answer()).endswith(b" 400 Bad Request")
            async with contextlib.AsyncExitStack() as pages:
                for _ in range(3):
                    await pages.enter_async_context(broker.http.ws_connect("/ws"))
                late = await pages.enter_async_context(connected(broker))
                assert await late.answer() == b"HTTP/1.1 503 Service Unavailable"
            async with connected(broker) as deaf:
                deaf.writer.transport.pause_reading()
                with contextlib.suppress(ConnectionError):
                    for _ in range(3_000):
                        deaf.writer.write(b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        await deaf.writer.drain()
                names = {"http_slow_head", "http_garbage", "http_limit_connections", "http_slow_reader"}
                await broker.until("/api/nodes", lambda nodes: names <= nodes[0]["counters"].keys())

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(everything())
