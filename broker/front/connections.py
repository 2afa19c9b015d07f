"""TCP connections of the front door: who is let in, and for how long one may be of no use.

aiohttp has a time-out for a connection that is idle between two requests, but none for one that never sends the whole
head of a request, and none for one that does not read its answer. One timer looks at all connections once a second:

* A request's head has to arrive within ``HEAD_TIMEOUT``, counted from its first byte or from the connection's start.
* What waits to be sent has to become less within ``STALL_TIMEOUT``.
* Where ``limits.connections`` are open, the one that has been idle longest makes room for a new one; if none is idle,
  the new one gets a 503 and is closed. So do connections beyond ``limits.connections_per_address``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

from aiohttp import web

from broker.front.context import Context
from broker.front.problems import RETRY_AFTER, problem, problem_body
from common.errors import RequestError

HEAD_TIMEOUT = 10.0  # seconds: a head is a few kilobytes
IDLE_TIMEOUT = 75.0  # seconds between two requests: longer than reverse proxies keep a connection (nginx: 60)
STALL_TIMEOUT = 20.0  # seconds in which nothing of an answer was taken
LINGER = 1.0  # seconds for which the rest of a body is read that nobody wants
SWEEP_INTERVAL = 1.0  # seconds
SPARE_FILES = 128  # descriptors that are kept from connections: bus, store, libraries
_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": IDLE_TIMEOUT,
    "lingering_time": LINGER,
    "max_line_size": 8_190,  # bytes; with a 431 or 400 beyond it
    "max_field_size": 8_190,  # bytes of one header
    "max_headers": 128,
    "auto_decompress": False,  # 48 kB become 50 MB, in 170 ms of everybody's time: see ``bodies``
}
BACKLOG = 1_024  # connections that the kernel holds for us: everybody comes back at once after a restart


class Connection(web.RequestHandler):
    """One connection."""

    def __init__(self, door: Connections, server: web.Server, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self._door = door
        self.link: asyncio.Transport | None = None  # also after aiohttp has let go of it
        self.address: str | None = None
        self.admitted = False
        self.waiting_since: float | None = None  # for the rest of a head, or for the first byte of a connection
        self.stalled_since: float | None = None
        self.unsent = 0  # bytes, at the last sweep

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or send it away."""
        self.link = cast(asyncio.Transport, transport)  # uvloop's is not derived from it
        self.admitted = self._door.admit(self, self.link)
        if self.admitted:
            self.waiting_since = self._door.now()
            super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Begin to wait for the rest of a head."""
        if self.admitted:
            if self.waiting_since is None and self in self._door.idle:
                self.waiting_since = self._door.now()
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give its place to others."""
        if self.admitted:
            self._door.gone(self)
            super().connection_lost(exc)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """While open, a request is being answered."""
        self.waiting_since = None
        self._door.idle.pop(self, None)
        try:
            yield
        finally:
            self._door.rest(self)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is not HTTP in the form of all our errors; a stranger's bytes are not worth a line of the log."""
        return self._door.refuse_garbage(status, exc)


class Connections:
    """Every connection of the front door."""

    def __init__(self, context: Context) -> None:
        self.idle: dict[Connection, None] = {}  # between two requests, or before the first; longest first
        self._context = context
        self._quotas = context.quotas
        self._all: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(SWEEP_INTERVAL, self._sweep)

    def close(self) -> None:
        """Stop watching."""
        self._timer.cancel()

    def now(self) -> float:
        """The context's clock."""
        return self._context.clock()

    def admit(self, connection: Connection, transport: asyncio.Transport) -> bool:
        """Whether a new connection is let in; if not it is answered and closed."""
        peer = transport.get_extra_info("peername")
        connection.address = self._quotas.address(peer[0] if peer else None)
        try:
            self._quotas.connections.check_each(connection.address)  # first: it is not to cost another one its place
            if self._quotas.connections.full and self.idle:
                self._context.counters["http_idle_closed"] += 1
                self._drop(next(iter(self.idle)))
            self._quotas.connections.check(connection.address)
        except RequestError as exc:
            self._context.counters[f"http_{exc.code}"] += 1
            self._context.quiet.warning("connection refused", reason=exc.message, address=connection.address)
            transport.write(_refusal(exc))
            transport.close()
            return False
        self._quotas.connections.open(connection.address)
        self._all.add(connection)
        self.idle[connection] = None
        return True

    def rest(self, connection: Connection) -> None:
        """The connection's request has been answered."""
        if connection in self._all:
            self.idle[connection] = None

    def gone(self, connection: Connection) -> None:
        """The connection is closed: its place is another's."""
        if connection in self._all:
            self._all.discard(connection)
            self.idle.pop(connection, None)
            self._quotas.connections.close(connection.address)

    def refuse_garbage(self, status: int, exc: BaseException | None) -> web.Response:
        """The answer to what aiohttp could not read or handle."""
        self._context.counters["http_garbage"] += 1
        self._context.quiet.info("request cannot be read", reason=type(exc).__name__)
        sentence = "The request is not HTTP/1.1, or its head is too large."
        response = problem(RequestError(status, "malformed_request", sentence))
        response.force_close()
        return response

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP_INTERVAL, self._sweep)
        now = self.now()
        for connection in list(self._all):
            if (since := connection.waiting_since) is not None and now - since > HEAD_TIMEOUT:
                self._context.counters["http_slow_head"] += 1
                self._drop(connection)
            elif self._stalled(connection, now):
                self._context.counters["http_slow_reader"] += 1
                self._drop(connection)
        self._quotas.sweep()
        self._context.quiet.sweep()

    def _stalled(self, connection: Connection, now: float) -> bool:
        """Whether what waits to be sent has not become less for too long."""
        assert connection.link is not None
        before, connection.unsent = connection.unsent, connection.link.get_write_buffer_size()
        if not connection.unsent or connection.unsent < before or connection.stalled_since is None:
            connection.stalled_since = now if connection.unsent else None
        return connection.stalled_since is not None and now - connection.stalled_since > STALL_TIMEOUT

    def _drop(self, connection: Connection) -> None:
        self.gone(connection)
        assert connection.link is not None
        connection.link.abort()


def _refusal(error: RequestError) -> bytes:
    """A response for a connection that no request was read from."""
    body = json.dumps(problem_body(error)).encode()
    head = (
        f"HTTP/1.1 {error.status} Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        f"Retry-After: {RETRY_AFTER}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


@contextlib.asynccontextmanager
async def serving(
    app: web.Application, context: Context, listeners: list[socket.socket], patience: float
) -> AsyncIterator[None]:
    """Serve ``app`` on ``listeners`` until left; requests that are being answered then have ``patience`` seconds."""
    runner = web.AppRunner(app, shutdown_timeout=patience, **_OPTIONS)
    await runner.setup()
    server, loop = runner.server, asyncio.get_running_loop()
    assert server is not None
    connections = Connections(context)
    accepting: list[asyncio.Server] = []
    try:
        accepting += [
            await loop.create_server(
                lambda: Connection(connections, server, loop, **_OPTIONS), sock=listener, backlog=BACKLOG
            )
            for listener in listeners
        ]
        yield
    finally:
        for each in accepting:
            each.close()
        await runner.cleanup()
        connections.close()
