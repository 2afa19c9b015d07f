"""Connections of viewers, as the broker hands them over: a socket of this machine, and the sockets that come by it.

Its name is in the abstract namespace (unix(7)), random and told to the broker alone: nothing lies on the disk, and a
broker on another machine or in another container finds that nobody listens. Only processes of our own user are heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from typing import Final

from common.errors import ProtocolError
from common.handover import MAX_HANDOVER, Handover
from egress.mse.viewer import MseViewer
from egress.mse.viewers import MseViewers
from egress.wire.tcp import NOTSENT

BACKLOG = 128  # hand-overs that wait for us
MAX_PENDING = 64  # of which nothing was read yet; the broker writes as soon as it is connected
PAUSE = 0.2  # seconds until descriptors that had run out are looked for again
ACCEPT_LIMIT = 16  # accepted before other work of the loop gets its turn
RECEIVE_SIZE = 4_096  # bytes read of one viewer before others get their turn
USER_TIMEOUT = 15.0  # seconds without an acknowledgement after which a connection is broken
_LINUX: Final = sys.platform == "linux"
_TCP_NOTSENT_LOWAT = 25  # linux/tcp.h
_UCRED = struct.Struct("3i")  # unix(7): process, user, group


class SocketOutlet:
    """A viewer's socket on the running event loop: ``egress.mse.outgoing.Outlet``."""

    def __init__(self, sock: socket.socket, remote: str, viewer: MseViewer, viewers: MseViewers) -> None:
        """Take it over. Raises ``OSError`` if the peer has gone already."""
        self.remote = remote
        self.direct: Callable[[bytes], int] = sock.send
        self._socket = sock
        self._viewer = viewer
        self._viewers = viewers
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:  # else the broker has the connection itself, and this leads to it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _LINUX:
                sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOTSENT)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(USER_TIMEOUT * 1_000))

    def start(self) -> None:
        """Read from now on."""
        self._loop.add_reader(self._socket, self._readable)

    def send(self, data: bytes | memoryview) -> int:
        """See ``Outlet``."""
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def await_room(self) -> None:
        """See ``Outlet``."""
        self._loop.add_writer(self._socket, self._writable)

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

    def _readable(self) -> None:
        try:
            data = self._socket.recv(RECEIVE_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._viewer.receive(data, self._loop.time())
        self._viewers.look(self._viewer)

    def _writable(self) -> None:
        self._loop.remove_writer(self._socket)
        self._viewer.writable()
        self._viewers.look(self._viewer)


class Door:
    """The socket that connections are handed over by. ``address`` is its name, empty where there is no such thing."""

    def __init__(self, viewers: MseViewers) -> None:
        self.address = ""
        self.counters: Counter[str] = Counter()
        self._viewers = viewers
        self._pending: dict[socket.socket, None] = {}  # oldest first
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = None
        self._paused: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Take connections from now on."""
        if _LINUX:
            name = f"camshaft-{secrets.token_hex(16)}"
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._listener.setblocking(False)
            self._listener.bind(f"\0{name}")
            self._listener.listen(BACKLOG)
            self.address = f"@{name}"
            self._listen(self._listener)

    def close(self) -> None:
        """Take nothing more."""
        for sock in tuple(self._pending):
            self._drop(sock)
        if self._paused is not None:
            self._paused.cancel()
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _listen(self, listener: socket.socket) -> None:
        self._loop.add_reader(listener, self._acceptable, listener)

    def _acceptable(self, listener: socket.socket) -> None:
        for _ in range(ACCEPT_LIMIT):
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # descriptors have run out: it would be readable again at once
                self._loop.remove_reader(listener)
                self._paused = self._loop.call_later(PAUSE, self._listen, listener)
                return
            sock.setblocking(False)
            _, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
            if user not in (os.geteuid(), 0):
                self.counters["handovers_strange"] += 1
                sock.close()
                continue
            if len(self._pending) >= MAX_PENDING:
                self._drop(next(iter(self._pending)))
            self._pending[sock] = None
            self._loop.add_reader(sock, self._readable, sock)

    def _readable(self, sock: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            data, descriptors, _, _ = socket.recv_fds(sock, MAX_HANDOVER, 1)
            handover = Handover.parse(data)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, ProtocolError):
            self.counters["handovers_strange"] += 1
        else:
            if len(descriptors) == 1:
                self._take(handover, socket.socket(fileno=descriptors.pop()))
        for descriptor in descriptors:
            os.close(descriptor)
        self._drop(sock)

    def _take(self, handover: Handover, connection: socket.socket) -> None:
        viewer = self._viewers.get(handover.session)
        if viewer is None:
            self.counters["handovers_strange"] += 1
            connection.close()
            return
        try:
            outlet = SocketOutlet(connection, handover.remote, viewer, self._viewers)
        except OSError:
            connection.close()
            viewer.ended = "closed by the viewer"
        else:
            outlet.start()
            viewer.connect(outlet, handover.head, self._loop.time())
            self._viewers.joined(viewer)
        self._viewers.look(viewer)

    def _drop(self, sock: socket.socket) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.remove_reader(sock)
        self._pending.pop(sock, None)
        sock.close()
