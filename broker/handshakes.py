"""Sends those away who say too much before a connection of the bus has shaken hands (CURVE, ZMQ RFC 26).

libzmq takes what a peer says as whole messages, of 8 MiB at most, also from one that has shown no key yet: a hundred
strangers take as many times that, for the five seconds that a handshake may last. A handshake is less than a kilobyte.
libzmq tells nobody which connection has got how far, and the kernel does: a server has sent more than its greeting and
its WELCOME only to those whose key was good.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable

MOST_RECEIVED = 4 << 10  # bytes; a handshake of ours has 700
MOST_SENT = 250  # bytes: a greeting (64) and a WELCOME (170), or instead an ERROR; with READY there are more
MOST_PENDING = 256  # handshakes at once: those of all workers of a large cluster take milliseconds each
LOOK_INTERVAL = 0.02  # seconds
PATIENCE = 6.0  # seconds for which a connection is looked at: libzmq gives a handshake five

_TCP_INFO = struct.Struct("@128x Q 64x Q")  # linux/tcp.h: tcpi_bytes_received and tcpi_bytes_sent


class Handshakes:
    """The connections of one bound socket whose handshake may not be over. ``sent_away`` is called for each that was.

    A descriptor that libzmq names may be somebody else's by then, so each is looked at by one of our own, and what is
    seen of it decides.
    """

    def __init__(self, port: int, sent_away: Callable[[], None]) -> None:
        self._port = port
        self._sent_away = sent_away
        self._pending: dict[int, tuple[socket.socket, float]] = {}  # by libzmq's descriptor: ours, and when it came
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def accepted(self, descriptor: int) -> None:
        """Look after a connection that was accepted."""
        self.closed(descriptor)
        try:
            connection = socket.socket(fileno=os.dup(descriptor))
        except OSError:  # it is over already, or it was no socket
            return
        if not _is_at(connection, self._port):
            connection.close()
            return
        self._pending[descriptor] = connection, self._loop.time()
        if len(self._pending) > MOST_PENDING:
            self._sweep()
        if len(self._pending) > MOST_PENDING:
            self._send_away(next(iter(self._pending)))
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_INTERVAL, self._look)

    def closed(self, descriptor: int) -> None:
        """Forget a connection that is over."""
        if (found := self._pending.pop(descriptor, None)) is not None:
            found[0].close()

    def close(self) -> None:
        """Look after none any more."""
        if self._timer is not None:
            self._timer.cancel()
        for descriptor in list(self._pending):
            self.closed(descriptor)

    def _look(self) -> None:
        self._sweep()
        self._timer = self._loop.call_later(LOOK_INTERVAL, self._look) if self._pending else None

    def _sweep(self) -> None:
        now = self._loop.time()
        for descriptor, (connection, came_at) in list(self._pending.items()):
            received, sent = progress(connection)
            if sent > MOST_SENT or now - came_at > PATIENCE:
                self.closed(descriptor)
            elif received > MOST_RECEIVED:
                self._send_away(descriptor)

    def _send_away(self, descriptor: int) -> None:
        connection, _ = self._pending[descriptor]
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        self.closed(descriptor)
        self._sent_away()


def progress(connection: socket.socket) -> tuple[int, int]:
    """The bytes that a TCP connection has received and sent so far; as many as none where the system does not say."""
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        received, sent = _TCP_INFO.unpack(told)
    except (OSError, AttributeError, struct.error):
        return 0, 0
    return received, sent


def _is_at(connection: socket.socket, port: int) -> bool:
    try:
        return connection.type == socket.SOCK_STREAM and connection.getsockname()[1:2] == (port,)
    except OSError:
        return False
