"""Sends those away who say too much on a connection of the bus, where that is secured (CURVE, ZMQ RFC 26).

libzmq takes what a peer says as whole messages, of 8 MiB and more, also from one that has shown no key yet: a hundred
strangers take as many times that, for the five seconds that a handshake may last. A handshake is less than a kilobyte.
And a subscriber says nothing but what it subscribes to, of which libzmq keeps some sixty bytes a byte, at both ends.

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
from dataclasses import dataclass
from typing import NamedTuple

MOST_RECEIVED = 4 << 10  # bytes of a handshake; ours has 700
MOST_SENT = 250  # bytes: a greeting (64) and a WELCOME (170), or instead an ERROR; with READY there are more
MOST_PENDING = 256  # handshakes at once: those of all workers of a large cluster take milliseconds each
PENDING_INTERVAL = 0.02  # seconds between looks
PATIENCE = 6.0  # seconds for which a handshake is looked at: libzmq gives it five

MOST_ASKED = 2 << 20  # bytes that a subscriber may say at once: all topics of three thousand cameras …
ASKED_RATE = 32 << 10  # … and a second beyond that: a hundred cameras that viewers come to
SUBSCRIBER_INTERVAL = 0.1  # seconds between looks

_TCP_INFO = struct.Struct("@B127x Q 64x Q")  # linux/tcp.h: tcpi_state, tcpi_bytes_received and tcpi_bytes_sent
_ESTABLISHED = 1  # net/tcp_states.h of Linux


@dataclass(slots=True)
class _Connection:
    socket: socket.socket  # ours
    came_at: float  # seconds, of the loop
    through: bool = False  # its key was good


class Peers:
    """The connections of one bound socket, at ``port``: those whose handshake may not be over, and subscribers.

    ``sent_away`` is called for each that was, with whether its key had been good. Without ``subscribers`` nobody is
    looked after behind the handshake. A descriptor that libzmq names may be somebody else's by then, so each is looked
    at by one of our own, and what is seen of it decides.
    """

    def __init__(self, port: int, sent_away: Callable[[bool], None], *, subscribers: bool = False) -> None:
        self._port = port
        self._sent_away = sent_away
        self._subscribers = subscribers
        self._all: dict[int, _Connection] = {}  # by libzmq's descriptor
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = float("inf")

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
        self._all[descriptor] = _Connection(connection, self._loop.time())
        if len(self._pending) > MOST_PENDING:
            self._sweep()
            if len(pending := self._pending) > MOST_PENDING:
                self._send_away(pending[0])
        self._look_soon()

    def closed(self, descriptor: int) -> None:
        """Forget a connection that is over."""
        if (found := self._all.pop(descriptor, None)) is not None:
            found.socket.close()

    def close(self) -> None:
        """Look after none any more."""
        if self._timer is not None:
            self._timer.cancel()
        for descriptor in list(self._all):
            self.closed(descriptor)

    @property
    def _pending(self) -> list[int]:
        return [descriptor for descriptor, each in self._all.items() if not each.through]

    def _look_soon(self) -> None:
        """Look again, sooner if a handshake is under way."""
        at = self._loop.time() + (PENDING_INTERVAL if self._pending else SUBSCRIBER_INTERVAL)
        if self._timer is not None and self._look_at > at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and self._all:
            self._look_at = at
            self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        self._sweep()
        self._look_soon()

    def _sweep(self) -> None:
        now = self._loop.time()
        for descriptor, each in list(self._all.items()):
            seen, age = progress(each.socket), now - each.came_at
            each.through = each.through or seen.sent > MOST_SENT
            if each.through and not self._subscribers:
                self.closed(descriptor)
            elif seen.received > (MOST_ASKED + ASKED_RATE * age if each.through else MOST_RECEIVED):
                self._send_away(descriptor)
            elif not seen.established or (age > PATIENCE and not each.through):
                self.closed(descriptor)

    def _send_away(self, descriptor: int) -> None:
        each = self._all[descriptor]
        with contextlib.suppress(OSError):
            each.socket.shutdown(socket.SHUT_RDWR)
        self.closed(descriptor)
        self._sent_away(each.through)


class Progress(NamedTuple):
    """How far a TCP connection has got: bytes in each direction."""

    established: bool
    received: int
    sent: int


def progress(connection: socket.socket) -> Progress:
    """How far a connection has got; it is as good as over where the system does not say."""
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        state, received, sent = _TCP_INFO.unpack(told)
    except (OSError, AttributeError, struct.error):
        return Progress(False, 0, 0)
    return Progress(state == _ESTABLISHED, received, sent)


def _is_at(connection: socket.socket, port: int) -> bool:
    try:
        return connection.type == socket.SOCK_STREAM and connection.getsockname()[1:2] == (port,)
    except OSError:
        return False
