"""The one TCP port of an egress process, of passive candidates (RFC 6544): accepts connections and reads them.

A connection costs a stranger little, so all of it is bounded. It is *pending* until a check with the password of a
viewer has come by it, which is the first thing that an honest peer sends. Pending ones are few, few of one address, and
not for long; the oldest gives way to a new one. The others belong to viewers, each of which has a bounded number of
paths, and end with them or when they fall silent. Whatever is no STUN, DTLS or RTCP closes its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from common import clock
from common.bucket import TokenBucket
from common.errors import AddressInUseError, ProtocolError, refused
from common.log import get_logger
from egress.wire.ice import Address, Path, TcpAddress
from egress.wire.port import families
from egress.wire.tcp import TcpConnection
from egress.wire.way import DTLS, RTP, STUN, Carrier

MAX_PENDING = (
    512  # connections: a browser has two or three for as long as a round trip, so some hundred browsers at once
)
MAX_PENDING_OF_HOST = 64  # … and of one address, behind which may be a house full of people
PENDING_TIMEOUT = 5.0  # seconds to the first check: browsers send it as soon as they are connected
IDLE_TIMEOUT = 60.0  # seconds of silence: browsers check what they keep in reserve every 25
ACCEPT_BURST, ACCEPT_RATE = 500, 1_000.0  # connections at once, and a second: with all that follows, 60 ms of a core
ACCEPT_LIMIT = 16  # connections accepted before other work of the loop gets its turn
BACKLOG = 512  # connections that the kernel completes before we accept them
RECEIVE_SIZE = 16_384  # bytes read of one connection before others get their turn
SWEEP_INTERVAL = 1.0  # seconds between looks at those that are idle

TLS = b"\x16\x03"  # a handshake (RFC 8446 5.1); as the length of a frame (RFC 4571) it is no check's
_OUT_OF_SOMETHING = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = get_logger()


Paused = tuple[TcpAddress, socket.socket, bytes, bytes]
"""A connection that is not read: its address and socket, what was read of a frame, and what is not sent of one."""


class Receiver(Protocol):
    """The viewers of the port; see ``egress.mux``."""

    def receive(self, data: bytes, path: Path, carrier: Carrier, now: float, unix_ns: int, waited: float) -> None:
        """Take a datagram. For the arguments see ``MediaPort``."""

    def holds(self, address: Address) -> bool:
        """Whether ``address`` belongs to a viewer."""

    def lost(self, address: Address) -> None:
        """Note that nothing can come from ``address`` or go there any more."""


class TcpPort:
    """The listening sockets on the running event loop, and every connection of them."""

    def __init__(self, host: str, number: int, inherited: Sequence[socket.socket] = ()) -> None:
        """Bind, unless listening sockets are ``inherited``; all else, and what it raises, as in ``MediaPort``."""
        self.counters: Counter[str] = Counter()
        self.listeners: list[socket.socket] = list(inherited)
        self._adopted: list[tuple[TcpConnection, bytes, bytes]] = []  # what was read and not sent of each
        self._pending: dict[TcpAddress, TcpConnection] = {}  # the oldest first
        self._pending_of: Counter[str] = Counter()  # by host
        self._owned: dict[TcpAddress, TcpConnection] = {}
        self._numbers = itertools.count()
        self._accepts = TokenBucket(ACCEPT_BURST, ACCEPT_RATE)
        self.on_tls: Callable[[socket.socket, bytes], None] | None = None  # takes connections that begin with TLS
        self._paused = False  # accepts nothing until the next sweep
        self._look_at = 0.0  # monotonic time of the next look at those that are idle
        several = families(host) if not inherited else []
        try:
            for family, address in several:
                self._listen(family, address, self.number or number, optional=bool(self.listeners))
        except BaseException:
            self.close()
            raise

    @property
    def number(self) -> int:
        """The port's number; 0 before the first socket is bound."""
        return int(self.listeners[0].getsockname()[1]) if self.listeners else 0

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._pending) + len(self._owned)

    def start(self, receiver: Receiver) -> None:
        """Accept and read from now on."""
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        for listener in self.listeners:
            self._loop.add_reader(listener, self._acceptable, listener)
        for connection, read, unsent in self._adopted:
            if not connection.closed:
                connection.resume(self._readable, read, unsent)
        self._adopted.clear()

    def adopt(self, sock: socket.socket, remote: TcpAddress, read: bytes, unsent: bytes, now: float) -> None:
        """Take a viewer's connection from another process; it is read once the port is started. Raises ``OSError``."""
        connection = TcpConnection(sock, Path(remote), now, self._lost)
        connection.owned = True
        self._owned[remote] = connection
        self._adopted.append((connection, read, unsent))
        self._numbers = itertools.count(max(remote.connection + 1, next(self._numbers)))

    def connection(self, address: Address) -> TcpConnection | None:
        """The viewer's connection with that address."""
        return self._owned.get(address) if isinstance(address, TcpAddress) else None

    def pause(self) -> list[Paused]:
        """Accept and read nothing until it is started again. Returns viewers' connections; strangers' are closed."""
        self._paused = False
        for listener in self.listeners:
            self._loop.remove_reader(listener)
        for connection in list(self._pending.values()):
            self._drop(connection)
        self._adopted = [(connection, b"", b"") for connection in self._owned.values()]
        return [(_key(connection), *connection.pause()) for connection in self._owned.values()]

    def hang_up(self, address: Address) -> None:
        """Close a connection, if ``address`` is that of one: its viewer is gone, or has forgotten it."""
        if isinstance(address, TcpAddress) and (connection := self._owned.get(address)) is not None:
            self._drop(connection)

    def sweep(self, now: float) -> None:
        """Close those that have said nothing for too long; to be called some times a second."""
        while self._pending and (oldest := next(iter(self._pending.values()))).heard_at + PENDING_TIMEOUT < now:
            self._give_up(oldest, "tcp_silent")
        if now >= self._look_at:
            self._look_at = now + SWEEP_INTERVAL
            for connection in [each for each in self._owned.values() if each.heard_at + IDLE_TIMEOUT < now]:
                self._give_up(connection, "tcp_silent")
        if self._paused:
            self._paused = False
            for listener in self.listeners:
                self._loop.add_reader(listener, self._acceptable, listener)

    def close(self) -> None:
        """Close everything."""
        for listener in self.listeners:
            with contextlib.suppress(RuntimeError):  # no loop: never started
                asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self.listeners.clear()
        for connection in [*self._pending.values(), *self._owned.values()]:
            self._drop(connection)

    def _listen(self, family: socket.AddressFamily, host: str, number: int, *, optional: bool) -> None:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of our last run linger
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, number))
            listener.listen(BACKLOG)
        except OSError as exc:
            listener.close()
            address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
            if exc.errno == errno.EADDRINUSE:
                raise AddressInUseError("media", f"TCP {address}", "--media-tcp") from None
            if not optional:
                raise refused(exc.errno, f"cannot bind TCP {address}: {exc.strerror}", key="media.tcp") from None
            return
        self.listeners.append(listener)

    def _acceptable(self, listener: socket.socket) -> None:
        now = time.monotonic()
        for _ in range(ACCEPT_LIMIT):
            if not self._accepts.take(now):  # the others wait in the kernel
                self._pause()
                return
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno in _OUT_OF_SOMETHING:  # it would be readable again at once
                    self.counters["tcp_unaccepted"] += 1
                    self._pause()
                    return
                continue  # that peer has gone already
            self._admit(sock, address, now)

    def _pause(self) -> None:
        self._paused = True
        for listener in self.listeners:
            self._loop.remove_reader(listener)

    def _admit(self, sock: socket.socket, address: tuple[str, int], now: float) -> None:
        host, port = address[:2]
        if self._pending_of[host] >= MAX_PENDING_OF_HOST:
            self.counters["tcp_refused"] += 1
            sock.close()
            return
        remote = TcpAddress(host, port, next(self._numbers))
        try:
            connection = TcpConnection(sock, Path(remote), now, self._lost)
        except OSError:  # that peer has gone already
            sock.close()
            return
        if len(self._pending) >= MAX_PENDING:
            self._give_up(next(iter(self._pending.values())), "tcp_refused")
        self._pending[remote] = connection
        self._pending_of[host] += 1
        connection.start(self._readable)

    def _readable(self, connection: TcpConnection) -> None:
        try:
            data = connection.read(RECEIVE_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._lost(connection)
            return
        first = not connection.owned and not connection.deframer.begun
        if first and data.startswith(TLS) and self.on_tls is not None:
            given = connection.give_up()
            self._drop(connection)
            self.on_tls(given, data)
            return
        try:
            datagrams = connection.deframer.feed(data)
        except ProtocolError:
            self._give_up(connection, "tcp_garbage")
            return
        now, unix_ns = time.monotonic(), clock.unix_ns()
        for datagram in datagrams:
            self._take(connection, datagram, now, unix_ns)
            if connection.closed:
                return

    def _take(self, connection: TcpConnection, datagram: bytes, now: float, unix_ns: int) -> None:
        first = datagram[0]
        if first not in STUN and not (connection.owned and (first in DTLS or first in RTP)):
            self._give_up(connection, "tcp_garbage")
            return
        connection.heard_at = now
        self._receiver.receive(datagram, connection.path, connection, now, unix_ns, 0.0)
        if connection.owned or connection.closed:
            return
        if self._receiver.holds(connection.path.remote):
            self._forget(connection)
            connection.owned = True
            self._owned[_key(connection)] = connection
        else:  # a check for nobody, or with a wrong password
            self._give_up(connection, "tcp_stranger")

    def _give_up(self, connection: TcpConnection, why: str) -> None:
        self.counters[why] += 1
        self._lost(connection)

    def _lost(self, connection: TcpConnection) -> None:
        self._drop(connection)
        self._receiver.lost(connection.path.remote)

    def _drop(self, connection: TcpConnection) -> None:
        self.counters["tcp_blocked"] += connection.refusals
        connection.refusals = 0
        connection.close()
        self._forget(connection)

    def _forget(self, connection: TcpConnection) -> None:
        key = _key(connection)
        self._owned.pop(key, None)
        if self._pending.pop(key, None) is not None:
            self._pending_of[key.host] -= 1
            if not self._pending_of[key.host]:
                del self._pending_of[key.host]


def _key(connection: TcpConnection) -> TcpAddress:
    remote = connection.path.remote
    assert isinstance(remote, TcpAddress), "it was made with one"
    return remote
