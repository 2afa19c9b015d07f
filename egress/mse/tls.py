"""Viewers' connections from a broker on another machine: TLS on the egress's TCP port, and the words of a hand-over.

What WebRTC's viewers are sent is encrypted, so this is too. The broker knows us by our certificate's fingerprint, which
it was told by way of the bus, and we know it by the session's secret name. A stranger gets no further than a handshake:
such connections are few, few a second, and not for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final

from OpenSSL import SSL

from common.bucket import TokenBucket, TokenBuckets
from common.errors import ProtocolError
from common.handover import LENGTH, MAX_HANDOVER, Handover
from egress.mse.viewer import MseViewer
from egress.mse.viewers import MseViewers
from egress.wire.certificate import Certificate

MAX_PENDING = 64  # connections that have not said yet whose they are; the oldest gives way
PENDING_TIMEOUT = 5.0  # seconds for that
HANDSHAKE_BURST, HANDSHAKE_RATE = 400, 100.0  # handshakes at once, and a second: each is 0.3 ms of everybody's time …
HOST_BURST, HOST_RATE = 200, 50.0  # … and of one address: a broker, after its egress was started anew
MAX_HOSTS = 1_000  # addresses whose rate is remembered
RECEIVE_SIZE = 4_096  # bytes read of one connection before others get their turn
_RECORDS: Final = 65_536  # bytes of ciphertext that are taken from OpenSSL at once


class TlsConnection:
    """One connection on the running event loop, and an outlet once it is a viewer's: ``egress.mse.outgoing.Outlet``."""

    def __init__(
        self, sock: socket.socket, context: SSL.Context, on_words: Callable[[TlsConnection, bytes], None]
    ) -> None:
        self.remote = ""
        self.since = asyncio.get_running_loop().time()
        self.direct: Callable[[bytes], int] = self._direct
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._ssl = SSL.Connection(context, None)
        self._ssl.set_accept_state()
        self._on_words = on_words
        self._shaken = False
        self._unsent = memoryview(b"")  # ciphertext
        self._awaited = False  # whether the viewer waits for room
        self._viewer: MseViewer | None = None
        self._viewers: MseViewers | None = None

    def start(self, data: bytes) -> None:
        """Read from now on; ``data`` has been read already."""
        self._loop.add_reader(self._socket, self._readable)
        self.feed(data)

    def belong(self, viewer: MseViewer, viewers: MseViewers, remote: str) -> None:
        """Give the connection to a viewer."""
        self._viewer, self._viewers, self.remote = viewer, viewers, remote

    def send(self, data: bytes | memoryview) -> int:
        """See ``Outlet``. A message is encrypted whole, and none before the one before it has left.

        Raises ``BrokenPipeError`` once the peer's TLS is over.
        """
        if self._unsent:
            return 0
        try:
            self._ssl.sendall(bytes(data))  # ``send`` would take one record
        except SSL.Error:
            raise BrokenPipeError(errno.EPIPE, "its TLS is over") from None
        self._flush()
        return len(data)

    def await_room(self) -> None:
        """See ``Outlet``."""
        self._awaited = True

    def hear_no_more(self) -> None:
        """See ``Outlet``."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)

    def close(self) -> None:
        """See ``Outlet``."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def feed(self, data: bytes) -> None:
        """Bytes from the broker; none if it has closed. Raises ``OSError`` or ``SSL.Error`` for what is no TLS."""
        if data:
            self._ssl.bio_write(data)
        if not self._shaken:
            with contextlib.suppress(SSL.WantReadError):
                self._ssl.do_handshake()
                self._shaken = True
            self._flush()
        while self._shaken:
            try:
                plain = self._ssl.recv(RECEIVE_SIZE)
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                plain = b""
            self._hear(plain)
            if not plain or self._socket.fileno() < 0:
                return

    def _hear(self, plain: bytes) -> None:
        if self._viewer is None or self._viewers is None:
            self._on_words(self, plain)
            return
        self._viewer.receive(plain, self._loop.time())
        self._viewers.look(self._viewer)

    def _direct(self, data: bytes) -> int:
        if self._unsent:
            raise BlockingIOError
        return self.send(data)

    def _flush(self) -> None:
        """Send what OpenSSL has for the other side. Raises ``OSError`` if the connection is broken."""
        while True:
            if not self._unsent:
                try:
                    self._unsent = memoryview(self._ssl.bio_read(_RECORDS))
                except SSL.WantReadError:
                    break
            try:
                sent = self._socket.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._socket, self._writable)
                return
            self._unsent = self._unsent[sent:]
        self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(RECEIVE_SIZE)
            if data:
                self.feed(data)
            else:
                self._hear(b"")
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, SSL.Error):
            self._hear(b"")

    def _writable(self) -> None:
        try:
            self._flush()
        except OSError:
            self._hear(b"")
            return
        if not self._unsent and self._awaited and self._viewer is not None and self._viewers is not None:
            self._awaited = False
            self._viewer.writable()
            self._viewers.look(self._viewer)


class TlsDoor:
    """Takes connections of the TCP port that begin with TLS."""

    def __init__(self, viewers: MseViewers, counters: Counter[str]) -> None:
        certificate = Certificate()
        self.fingerprint = certificate.fingerprint().value.replace(":", "").lower()
        self._context = certificate.tls_context()
        self._viewers = viewers
        self._counters = counters
        self._pending: dict[TlsConnection, bytearray] = {}  # with what they have said; oldest first
        self._handshakes = TokenBucket(HANDSHAKE_BURST, HANDSHAKE_RATE)
        self._handshakes_of = TokenBuckets(HOST_BURST, HOST_RATE, MAX_HOSTS)

    def take(self, sock: socket.socket, data: bytes) -> None:
        """Take a connection, and the first bytes that came by it."""
        if not self._may_begin(sock):
            self._counters["handovers_strange"] += 1
            sock.close()
            return
        if len(self._pending) >= MAX_PENDING:
            self._drop(next(iter(self._pending)))
        connection = TlsConnection(sock, self._context, self._hear)
        self._pending[connection] = bytearray()
        try:
            connection.start(data)
        except (OSError, SSL.Error):
            self._drop(connection)

    def sweep(self, now: float) -> None:
        """Give up those that say nothing; to be called some times a second."""
        for connection in [each for each in self._pending if now - each.since > PENDING_TIMEOUT]:
            self._drop(connection)

    def close(self) -> None:
        """Take nothing more."""
        for connection in tuple(self._pending):
            connection.close()
        self._pending.clear()

    def _may_begin(self, sock: socket.socket) -> bool:
        try:
            host = str(sock.getpeername()[0])
        except OSError:  # it has gone already
            return False
        now = asyncio.get_running_loop().time()
        return self._handshakes_of.take(host, now) and self._handshakes.take(now)

    def _hear(self, connection: TlsConnection, data: bytes) -> None:
        words = self._pending.get(connection)
        if words is None:  # it was dropped, or its viewer is gone
            connection.close()
            return
        words += data
        if not data:
            self._drop(connection)
        elif len(words) >= LENGTH:
            size = int.from_bytes(words[:LENGTH])
            if not 0 < size <= MAX_HANDOVER:
                self._drop(connection)
            elif len(words) >= LENGTH + size:
                self._admit(connection, bytes(words[LENGTH : LENGTH + size]), bytes(words[LENGTH + size :]))

    def _admit(self, connection: TlsConnection, words: bytes, behind: bytes) -> None:
        """Let a viewer in by the ``words`` of its hand-over; what came ``behind`` them is the viewer's."""
        try:
            handover = Handover.parse(words)
        except ProtocolError:
            self._drop(connection)
            return
        viewer = self._viewers.get(handover.session)
        if viewer is None:
            self._drop(connection)
            return
        del self._pending[connection]
        connection.belong(viewer, self._viewers, handover.remote)
        now = asyncio.get_running_loop().time()
        viewer.connect(connection, handover.head, now)
        self._viewers.joined(viewer)
        if behind:
            viewer.receive(behind, now)
        self._viewers.look(viewer)

    def _drop(self, connection: TlsConnection) -> None:
        self._counters["handovers_strange"] += 1
        self._pending.pop(connection, None)
        connection.close()
