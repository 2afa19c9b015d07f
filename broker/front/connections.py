"""TCP connections of the front door: who is let in, and for how long one may be of no use.

aiohttp has a time-out for a connection that is idle between two requests, but none for one that never sends the whole
head of a request, and none for one that does not read its answer. One timer looks at all connections once a second:

* A request's head has to arrive within ``HEAD_TIMEOUT``, counted from its first byte or from the connection's start.
  Where there is TLS, its handshake has as long before that (``arrivals``).
* What waits to be sent has to become less within ``STALL_TIMEOUT``.
* Where ``limits.connections`` are open, the one that has been idle longest makes room for a new one; if none is idle,
  the new one gets a 503 and is closed. So do connections beyond ``limits.connections_per_address``.

What a request leaves that failed, or was not waited for, its head and body among it, is often a circle (aiohttp's
errors hold their frames, and these the request): the collector is called by the bytes that have come, as they are what
it costs to leave them about.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage, WebSocketReader
from aiohttp.http_exceptions import LineTooLong

from broker.front.context import Context
from broker.front.paced import Paced
from broker.front.problems import RETRY_AFTER, problem, problem_body
from common.errors import RequestError
from common.moments import at_moment

HEAD_TIMEOUT = 10.0  # seconds: a head is a few kilobytes, a handshake two round trips
STALL_TIMEOUT = 20.0  # seconds in which nothing of an answer was taken
SWEEP_INTERVAL = 1.0  # seconds
# Bytes of all: 400 offers. It takes a millisecond, and 30 with 400,000 objects; empty messages take 13 times
# their bytes. What is left of a rush goes some seconds later.
COLLECT_AFTER = 4 << 20
COLLECT_REST, COLLECT_INTERVAL = 64 << 10, 5.0  # bytes, seconds
COLLECT_PAUSE = 20  # times as long as the last time it took: whoever sends what nobody reads gets no more of the loop
PIECE = 16 << 10  # bytes that are read at once: of what it cannot read aiohttp's error quotes all, four times as long


class Guest(Protocol):
    """One that has a place: a connection, or one in the making."""

    address: str | None  # that it is counted by
    waiting_since: float | None  # for the rest of a head, for the first byte of a connection, or for a handshake
    slow: str  # the counter of those that were closed for that

    def stalled(self, now: float) -> bool:
        """Whether what waits to be sent has not become less for too long; asked at each sweep."""
        ...

    def drop(self) -> None:
        """Close at once."""
        ...


class Connection(web.RequestHandler):
    """One connection. ``arrival``: it was let in as that, before its handshake."""

    slow = "http_slow_head"

    def __init__(
        self,
        door: Connections,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        arrival: Guest | None = None,
        **options: Any,
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._door = door
        self._arrival = arrival
        self._paced: Paced | None = None  # where it is to become a WebSocket
        self._link: asyncio.Transport | None = None  # also after aiohttp has let go of it
        self.address: str | None = None
        self.admitted = False
        self.waiting_since: float | None = None
        self._unreadable = False  # what comes is no HTTP
        self._when_lost: Callable[[], object] = lambda: None
        self._stalled_since: float | None = None
        self._unsent = 0  # bytes, at the last sweep

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or send it away."""
        self._link = cast(asyncio.Transport, transport)  # uvloop's is not derived from it
        try:
            if self._arrival is None:
                self._door.admit(self, transport.get_extra_info("peername"))
            elif not self._door.take_over(self._arrival, self):
                self._link.abort()
                return
        except RequestError as exc:
            self._link.write(_refusal(exc))
            self._link.close()
            return
        self.admitted = True
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Begin to wait for the rest of a head. Nothing is read behind what is no HTTP."""
        if not self.admitted:
            return
        if self.waiting_since is None and self in self._door.idle:
            self.waiting_since = self._door.now()
        self._door.came(len(data))
        for at in range(0, max(len(data), 1), PIECE):  # aiohttp itself reads none to go on with what it has
            if self._unreadable:
                return
            super().data_received(data[at : at + PIECE])
            self._look_for_errors()

    def pace(self, paced: Paced) -> None:
        """Have what comes behind the handshake of a WebSocket handed on by ``paced``."""
        self._paced = paced

    def set_parser(self, parser: WebSocketReader, data_received_cb: Callable[[], None] | None = None) -> None:
        """Hand on to ``parser`` from now on, as aiohttp says once a handshake is answered."""
        paced = parser if self._paced is None else self._paced.to(parser)
        super().set_parser(paced, data_received_cb)  # type: ignore[arg-type]  # it wants these two methods of one

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on, unless bytes of a WebSocket wait: aiohttp asks for more with each message that it gives away."""
        super().resume_reading(resume_parser)
        if self._paced is not None:
            self._paced.keep_pace()

    def _look_for_errors(self) -> None:
        """Let go of what an error's traceback holds: the bytes, and this connection, in a circle."""
        for message, _ in self._messages:  # aiohttp has no public way to them
            if not isinstance(message, RawRequestMessage):
                self._unreadable = True
                if message.exc is not None:
                    message.exc.__traceback__ = message.exc.__context__ = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give its place to others."""
        self._when_lost()
        if self.admitted:
            self._door.gone(self)
            super().connection_lost(exc)

    def when_lost(self, call: Callable[[], object]) -> None:
        """Have it called once the connection is gone, of which aiohttp tells no answer that is under way."""
        self._when_lost = call

    def stalled(self, now: float) -> bool:
        """Whether what waits to be sent has not become less for too long; asked at each sweep."""
        assert self._link is not None
        before, self._unsent = self._unsent, self._link.get_write_buffer_size()
        if not self._unsent or self._unsent < before or self._stalled_since is None:
            self._stalled_since = now if self._unsent else None
        return self._stalled_since is not None and now - self._stalled_since > STALL_TIMEOUT

    def drop(self) -> None:
        """Close at once."""
        assert self._link is not None
        self._link.abort()

    async def drained(self) -> None:
        """Wait until little waits to be sent. Raises ``ConnectionError`` once the connection is gone."""
        await self._drain_helper()

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
        self.idle: dict[Guest, None] = {}  # between two requests, or before the first; longest first
        self._context = context
        self._quotas = context.quotas
        self._all: set[Guest] = set()
        self._none = asyncio.Event()
        self._none.set()
        self._came, self._collected_at = 0, self.now()  # bytes since the collector was called, and when that was …
        self._collect_from = float("-inf")  # … and from when it may be called for many again
        self._loop = asyncio.get_running_loop()
        self._timer = at_moment(SWEEP_INTERVAL, self._sweep)

    async def close(self, patience: float) -> None:
        """Wait ``patience`` seconds at most until all are closed; then close them, and stop watching."""
        self._timer.cancel()
        for guest in list(self._all):
            if not isinstance(guest, Connection):
                self._drop(guest)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._none.wait()
        for guest in list(self._all):
            self._drop(guest)

    def now(self) -> float:
        """The context's clock: monotonic seconds."""
        return self._context.clock()

    def admit(self, guest: Guest, peer: tuple[str, int] | None) -> None:
        """Let in a new one. Raises ``RequestError`` for one that is not."""
        guest.address = self._quotas.address(peer[0] if peer else None)
        try:
            self._quotas.connections.check_each(guest.address)  # first: it is not to cost another one its place
            if self._quotas.connections.full and self.idle:
                self._context.counters["http_idle_closed"] += 1
                self._drop(next(iter(self.idle)))
            self._quotas.connections.check(guest.address)
        except RequestError as exc:
            self._context.counters[f"http_{exc.code}"] += 1
            self._context.quiet.warning("connection refused", reason=exc.message, address=guest.address)
            raise
        self._quotas.connections.open(guest.address)
        self._begin(guest)

    def came(self, size: int) -> None:
        """Count bytes of requests."""
        self._came += size
        if self._came >= COLLECT_AFTER and self.now() >= self._collect_from:
            self._collect()

    def _collect(self) -> None:
        self._came, self._collected_at = 0, self.now()
        self._collect_from = float("inf")
        self._loop.call_soon(self._collect_now)

    def _collect_now(self) -> None:
        began = time.monotonic()
        gc.collect()
        self._collect_from = self.now() + COLLECT_PAUSE * (time.monotonic() - began)

    def take_over(self, arrival: Guest, connection: Guest) -> bool:
        """Give the place of ``arrival`` to the connection that has become of it; ``False`` if it has none any more."""
        if arrival not in self._all:
            return False
        self._end(arrival)
        connection.address = arrival.address
        self._begin(connection)
        return True

    def rest(self, connection: Connection) -> None:
        """Note that the connection's request has been answered."""
        if connection in self._all:
            self.idle[connection] = None

    def gone(self, guest: Guest) -> None:
        """Give the place of a closed connection to others."""
        if guest in self._all:
            self._end(guest)
            self._quotas.connections.close(guest.address)

    def refuse_garbage(self, status: int, exc: BaseException | None) -> web.Response:
        """The answer to what aiohttp could not read or handle."""
        self._context.counters["http_garbage"] += 1
        self._context.quiet.info("request cannot be read", reason=type(exc).__name__)
        if isinstance(exc, UnicodeError):  # of a header that is no text, and that aiohttp itself quotes: Expect is one
            status = 400
        refusal = RequestError(status, "malformed_request", "The request is not HTTP/1.1.")
        if isinstance(exc, LineTooLong):
            most = self._quotas.limits.head_bytes
            sentence = f"The URL of this request, or one of its headers, is too large (limits.head_bytes is {most})."
            refusal = RequestError(431, "limit_head_bytes", sentence)  # RFC 6585 5
        response = problem(refusal)
        response.force_close()
        return response

    def _sweep(self) -> None:
        self._timer = at_moment(SWEEP_INTERVAL, self._sweep)
        now = self.now()
        if self._came >= COLLECT_REST and now - self._collected_at >= COLLECT_INTERVAL:
            self._collect()
        for guest in list(self._all):
            if (since := guest.waiting_since) is not None and now - since > HEAD_TIMEOUT:
                self._context.counters[guest.slow] += 1
                self._drop(guest)
            elif guest.stalled(now):
                self._context.counters["http_slow_reader"] += 1
                self._drop(guest)
        self._quotas.sweep()
        self._context.quiet.sweep()

    def _begin(self, guest: Guest) -> None:
        guest.waiting_since = self.now()
        self._all.add(guest)
        self.idle[guest] = None
        self._none.clear()

    def _end(self, guest: Guest) -> None:
        self._all.discard(guest)
        self.idle.pop(guest, None)
        if not self._all:
            self._none.set()

    def _drop(self, guest: Guest) -> None:
        self.gone(guest)
        guest.drop()


def _refusal(error: RequestError) -> bytes:
    """A response for a connection that no request was read from."""
    body = json.dumps(problem_body(error)).encode()
    head = (
        f"HTTP/1.1 {error.status} Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        f"Retry-After: {RETRY_AFTER}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
