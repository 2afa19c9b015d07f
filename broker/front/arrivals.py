"""Connections to a front door with TLS, until their handshake is over.

asyncio's servers know nothing of a connection before its handshake is over, and let in everybody until then. So
connections are accepted here, and have their place (``connections``) from that moment on: those that never end their
handshake are closed as those are that never end a request's head, and give way to others as idle ones do.

One who has no place is closed without a word, as a word would take a handshake. One who begins in plain HTTP is
answered by ``plain``, on the same port.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from broker.front.certificate import Certificate
from broker.front.connections import STALL_TIMEOUT, Connections, Guest
from broker.front.context import Context
from common.errors import RequestError

BACKLOG = 1_024  # connections that the kernel holds for us: everybody comes back at once after a restart
ACCEPTS = 64  # taken in one turn of the loop, as viewers are to be heard in between
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

    def stalled(self, _now: float) -> bool:
        """Nothing of ours waits to be sent: the kernel takes a handshake as a whole."""
        return False

    def drop(self) -> None:
        """Close at once."""
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
        if first:
            task = self._loop.create_task(self._enter(arrival, encrypted=first == _HANDSHAKE))
            arrival.handshake = task
            self._handshakes.add(task)
            task.add_done_callback(lambda _: self._left(arrival))
        else:
            self._left(arrival)

    def _left(self, arrival: Arrival) -> None:
        """A handshake is over, if there was one; a task that is cancelled before it runs could not say so itself."""
        if arrival.handshake is not None:
            self._handshakes.discard(arrival.handshake)
        if not arrival.entered:
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
