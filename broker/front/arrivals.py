"""Connections to a front door with TLS, until their handshake is over.

asyncio's servers know nothing of a connection before its handshake is over, and let in everybody until then. So
connections are accepted here, and have their place (``connections``) from that moment on: those that never end their
handshake are closed as those are that never end a request's head, and give way to others as idle ones do.

A handshake takes a millisecond or more of everybody's time. So those of one address wait for each other, and however
many it begins, another one's is soon over.

One who has no place is closed without a word, as a word would take a handshake. One who begins in plain HTTP is
answered by ``plain``, on the same port.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from broker.front.certificate import Certificate
from broker.front.connections import STALL_TIMEOUT, Connections, Guest
from broker.front.context import Context
from common.errors import RequestError

BACKLOG = 1_024  # connections that the kernel holds for us: everybody comes back at once after a restart
ACCEPTS = 64  # taken in one turn of the loop, as viewers are to be heard in between
HANDSHAKES_EACH = 32  # of one address at once: a household's, or as many as make others wait for a tenth of a second
NO_FILES_PAUSE = 1.0  # seconds without accepting where the system gives no more files
GOODBYE_TIMEOUT = STALL_TIMEOUT  # seconds for what is still to be sent, and for the peer's own goodbye
_HANDSHAKE = b"\x16"  # RFC 8446 5.1: the type of a TLS connection's first record

MakeProtocol = Callable[[Guest], asyncio.Protocol]


class Arrival:
    """One accepted connection."""

    slow = "tls_slow_handshake"

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.address: str | None = None
        self.waiting_since: float | None = None
        self.handshake: asyncio.Task[None] | None = None  # once it has begun
        self.entered = False  # it is a connection now, and its socket the loop's
        self.waits_in: dict[Arrival, None] = {}  # for the handshakes of others of its address

    def stalled(self, _now: float) -> bool:
        """Whether something of ours waits to be sent: never, as the kernel takes a handshake as a whole."""
        return False

    def drop(self) -> None:
        """Close at once."""
        self.waits_in.pop(self, None)
        if self.handshake is None:
            asyncio.get_running_loop().remove_reader(self.socket)
            self.socket.close()
        else:
            self.handshake.cancel()


class Arrivals:
    """Accepts connections from one listener. What becomes of one is a protocol of ``encrypted`` or ``plain``."""

    def __init__(
        self,
        connections: Connections,
        certificate: Certificate,
        context: Context,
        encrypted: MakeProtocol,
        plain: MakeProtocol,
    ) -> None:
        self._connections = connections
        self._certificate = certificate
        self._context = context
        self._encrypted = encrypted
        self._plain = plain
        self._handshakes: set[asyncio.Task[None]] = set()
        self._under_way: Counter[str] = Counter()  # handshakes by address
        self._waiting: dict[str, dict[Arrival, None]] = {}  # those that wait for them, longest first
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Wait for the end of handshakes that were dropped."""
        if self._handshakes:
            await asyncio.wait(self._handshakes)

    @contextmanager
    def accepting(self, listener: socket.socket) -> Iterator[None]:
        """Accept connections while open."""
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._loop.add_reader(listener, self._accept, listener)
        try:
            yield
        finally:
            self._loop.remove_reader(listener)
            listener.close()  # so that a pause, if there is one, ends with it

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                accepted, peer = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as exc:  # no memory, or too many files: that passes
                self._context.quiet.warning("no connection can be accepted", reason=exc.strerror)
                self._loop.remove_reader(listener)
                self._loop.call_later(NO_FILES_PAUSE, self._resume, listener)
                return
            self._arrived(Arrival(accepted), peer)

    def _resume(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener, self._accept, listener)

    def _arrived(self, arrival: Arrival, peer: tuple[str, int]) -> None:
        arrival.socket.setblocking(False)
        try:
            self._connections.admit(arrival, peer)
        except RequestError:
            arrival.socket.close()
        else:
            self._loop.add_reader(arrival.socket, self._look, arrival)

    def _look(self, arrival: Arrival) -> None:
        """See what the first byte is, and leave it where it is."""
        try:
            first = arrival.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        self._loop.remove_reader(arrival.socket)
        address = arrival.address
        if not first:
            self._close(arrival)
        elif first != _HANDSHAKE:
            self._begin(arrival, encrypted=False)
        elif address is not None and self._under_way[address] >= HANDSHAKES_EACH:
            arrival.waits_in = self._waiting.setdefault(address, {})
            arrival.waits_in[arrival] = None
        else:
            self._begin(arrival, encrypted=True)

    def _begin(self, arrival: Arrival, *, encrypted: bool) -> None:
        if encrypted and arrival.address is not None:
            self._under_way[arrival.address] += 1
        task = self._loop.create_task(self._enter(arrival, encrypted=encrypted))
        arrival.handshake = task
        self._handshakes.add(task)
        task.add_done_callback(lambda _: self._ended(arrival, task, encrypted=encrypted))

    def _ended(self, arrival: Arrival, task: asyncio.Task[None], *, encrypted: bool) -> None:
        """A task that is cancelled before it runs could not do this itself."""
        self._handshakes.discard(task)
        if not arrival.entered:
            self._close(arrival)
        if encrypted and (address := arrival.address) is not None:
            self._under_way[address] -= 1
            if not self._under_way[address]:
                del self._under_way[address]
            self._next_of(address)

    def _next_of(self, address: str) -> None:
        waiting = self._waiting.get(address, {})
        if waiting:
            arrival = next(iter(waiting))
            del waiting[arrival]
            self._begin(arrival, encrypted=True)
        if not waiting:
            self._waiting.pop(address, None)

    def _close(self, arrival: Arrival) -> None:
        self._connections.gone(arrival)
        arrival.socket.close()

    async def _enter(self, arrival: Arrival, *, encrypted: bool) -> None:
        try:
            if encrypted:
                await self._loop.connect_accepted_socket(
                    lambda: self._encrypted(arrival),
                    arrival.socket,
                    ssl=self._certificate.context,
                    ssl_shutdown_timeout=GOODBYE_TIMEOUT,
                )
            else:
                await self._loop.connect_accepted_socket(lambda: self._plain(arrival), arrival.socket)
            arrival.entered = True
        except OSError as exc:  # ssl.SSLError among them
            self._context.counters["tls_failed"] += 1
            reason = (getattr(exc, "reason", None) or exc.strerror or str(exc)).replace("_", " ").lower()
            self._context.quiet.info("TLS handshake failed", reason=reason, address=arrival.address)
