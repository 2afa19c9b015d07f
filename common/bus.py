"""ZeroMQ as we use it: how its sockets are set up, and how an event loop reads them.

Plain sockets, never ``zmq.asyncio`` (15 µs a message against 1). A socket's file descriptor is edge-triggered: it
signals that something changed, once, and a send may swallow the signal. ``Channel`` therefore drains until nothing is
left, calls itself again after a capped drain, and looks once more after it has sent.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import cast

import zmq

from common.control import MAX_MESSAGE_BYTES
from common.curve import Domain, Keys
from common.errors import AddressInUseError, refused
from common.media import MAX_FRAME_BYTES

MEDIA_HWM = 20_000  # batches a peer: 2 s of a hundred cameras; for fewer, egress drops what is older than 2 s
CONTROL_HWM = 10_000  # messages a peer: a burst of joins must fit
_EVENTS, _POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)  # an enum's member takes twice as long
DRAIN_LIMIT = 128  # messages handled before other work of the loop gets its turn …
DRAIN_TIME = 0.004  # … and seconds: an offer takes one to two milliseconds, and they come in hundreds

# Bytes of a subscription, which is all that a publisher is sent; a topic has 160. libzmq keeps a node for each byte and
# goes through them by calls within calls: one of a megabyte ends the process. A handshake's words fit, too.
MAX_SUBSCRIPTION_BYTES = 1 << 10

_OWNER_ONLY = 0o600  # the directory is private too; a mode that says so needs no second look
_MEDIA_SOCKETS = {zmq.PUB, zmq.SUB, zmq.XPUB, zmq.XSUB}
_CONTROL_SOCKETS = {zmq.DEALER, zmq.ROUTER}
_MAX_BYTES: dict[int, int] = {  # of a message that is received
    **dict.fromkeys((zmq.PUB, zmq.XPUB), MAX_SUBSCRIPTION_BYTES),
    **dict.fromkeys((zmq.SUB, zmq.XSUB), MAX_FRAME_BYTES),
}


def open_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, keys: Keys | None = None) -> zmq.Socket[bytes]:
    """A socket with every option of ours set, ready for ``bind`` or ``connect``."""
    socket = context.socket(kind)
    media = kind in _MEDIA_SOCKETS
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.SNDHWM, MEDIA_HWM if media else CONTROL_HWM)
    socket.setsockopt(zmq.RCVHWM, MEDIA_HWM if media else CONTROL_HWM)
    socket.setsockopt(zmq.MAXMSGSIZE, _MAX_BYTES.get(kind, MAX_MESSAGE_BYTES))
    # Without keys the broker is on this machine: pictures wait for it, and ten tries a second cost next to nothing.
    # libzmq makes the first of these times, in ms, longer with each try, up to the second and a little more by chance.
    local = keys is None
    socket.setsockopt(zmq.RECONNECT_IVL, 50 if local or kind == zmq.DEALER else 100)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100 if local else 2_000)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5_000)
    # A peer that is stopped, or lost its cable, sends no FIN. libzmq's own thread answers heartbeats, so that one which
    # computes is heard; on the control plane their absence is what shows that a machine died.
    control = kind in _CONTROL_SOCKETS
    socket.setsockopt(zmq.HEARTBEAT_IVL, 300 if control else 2_000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 1_000 if control else 6_000)
    if kind == zmq.DEALER:
        socket.setsockopt(zmq.IMMEDIATE, 1)  # never queue reports for a broker that is away: they would be stale
    if kind == zmq.ROUTER:
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a worker that comes back under its name replaces its old connection
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a message to a worker that is gone is an error, not silence
    if keys is not None:
        socket.curve_publickey, socket.curve_secretkey = keys.client_public, keys.client_secret
        socket.curve_serverkey = keys.server_public
    return socket


def bind(socket: zmq.Socket[bytes], endpoint: str, keys: Keys | None, what: str, domain: Domain | None = None) -> None:
    """Bind ``socket`` as a CURVE server. Raises ``AddressInUseError``, or ``ConfigError`` for an impossible address.

    ``domain`` is what a ZAP handler decides by, where workers have keys of their own. A ROUTER on one machine sends no
    heartbeats: libzmq 4.3 aborts the process (``!_io_error``) if one is due on a connection that lost its name to a
    newer one, spoke after that, and broke. Whether a process of this machine lives, ``common.onlooker`` sees.
    """
    if socket.type == zmq.ROUTER and endpoint.startswith("ipc://"):
        socket.setsockopt(zmq.HEARTBEAT_IVL, 0)
    if domain is not None:
        socket.zap_domain = domain.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without a ZAP handler nobody gets in; else everybody would
    if keys is not None:
        socket.curve_publickey, socket.curve_secretkey = keys.server_public, keys.server_secret
        socket.curve_server = True
    try:
        socket.bind(endpoint)
        if endpoint.startswith("ipc://"):
            os.chmod(endpoint.removeprefix("ipc://"), _OWNER_ONLY)  # noqa: PTH101 - there is no path here
    except zmq.ZMQError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise AddressInUseError(what, endpoint, "--broker-address") from None
        raise refused(exc.errno, f"cannot listen on {endpoint}: {exc.strerror}", key="broker.address") from None


def connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Connect ``socket`` to where ``bind`` listens.

    On one machine no heartbeats are sent from here, as each wakes two threads: a broker that dies breaks the
    connection, and one that is stopped has its address until somebody ends it.
    """
    if endpoint.startswith("ipc://"):
        socket.setsockopt(zmq.HEARTBEAT_IVL, 0)
    socket.connect(endpoint)


class Channel:
    """One ZeroMQ socket on the running event loop.

    ``on_message`` gets one frame (``bytes``), or with ``multipart`` the list of a message's frames, or with ``signed``
    the list of ``zmq.Frame``, which know the peer's key (``frame.get("User-Id")``) and cost more.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        on_message: Callable[[bytes], None] | Callable[[list[bytes]], None] | Callable[[list[zmq.Frame]], None],
        *,
        multipart: bool = False,
        signed: bool = False,
    ) -> None:
        self.socket = socket
        self.unsent = 0  # messages given up because the peer is slow or gone
        self._on_message: Callable[..., None] = on_message
        self._receive: Callable[[int], bytes | list[bytes] | list[zmq.Frame]]
        self._receive = socket.recv_multipart if multipart else socket.recv
        if signed:
            self._receive = partial(socket.recv_multipart, copy=False)
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._closed = False
        self._pause = 0.0  # seconds between two times that it is read; 0: at once
        self._pausing: asyncio.TimerHandle | None = None
        self._fd = cast(int, socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._drain)
        self._schedule()

    def send(self, *frames: bytes) -> bool:
        """Send without waiting. ``False``, and counted, if the message had to be given up."""
        try:
            if len(frames) == 1:
                self.socket.send(frames[0], zmq.NOBLOCK)
            else:
                self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError:  # Again: queue full; EHOSTUNREACH: ROUTER knows no such peer
            self.unsent += 1
            return False
        finally:
            self._look()
        return True

    def send_all(self, messages: Iterable[bytes]) -> None:
        """Send messages of one frame each without waiting. Those that had to be given up are counted."""
        send = self.socket.send
        for message in messages:
            try:
                send(message, zmq.NOBLOCK)
            except zmq.ZMQError:
                self.unsent += 1
        self._look()

    def rest(self, seconds: float) -> None:
        """Read what has come once in so many seconds from now on, which wakes the process less often; 0: at once."""
        if seconds == self._pause or self._closed:
            return
        self._stop_resting()
        self._pause = seconds
        if seconds:
            self._loop.remove_reader(self._fd)
            self._pausing = self._loop.call_later(seconds, self._rested)
        else:
            self._loop.add_reader(self._fd, self._drain)
            self._schedule()  # the descriptor tells of what is new, and of nothing that has come meanwhile

    def _rested(self) -> None:
        self._pausing = self._loop.call_later(self._pause, self._rested)
        self._drain()

    def _stop_resting(self) -> None:
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None

    @property
    def writable(self) -> bool:
        """Whether ``send`` would find a peer with room for a message."""
        events = cast(int, self.socket.getsockopt(zmq.EVENTS))
        if events & zmq.POLLIN:  # asking, too, may have swallowed the descriptor's signal
            self._schedule()
        return bool(events & zmq.POLLOUT)

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closed

    def close(self) -> None:
        """Stop reading and close the socket; twice is fine."""
        if not self._closed:
            self._closed = True
            self._stop_resting()
            self._loop.remove_reader(self._fd)
            self.socket.close(linger=0)

    def _look(self) -> None:
        """Read if there is something, which is rare: sending may have swallowed the descriptor's signal."""
        if not self._scheduled and not self._closed and self._has_more():
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._drain_again)

    def _drain_again(self) -> None:
        self._scheduled = False
        self._drain()

    def _drain(self) -> None:
        if self._closed:
            return
        drained = False
        until = time.monotonic() + DRAIN_TIME
        try:
            for _ in range(DRAIN_LIMIT):
                try:
                    message = self._receive(zmq.NOBLOCK)
                except (zmq.Again, zmq.ContextTerminated):
                    drained = True
                    return
                self._on_message(message)
                if self.socket.closed:
                    return
                if not self._has_more():
                    drained = True
                    return
                if time.monotonic() > until:
                    return
        finally:  # also when a handler raised: its error is the loop's to report, the rest still must be read
            if not drained and not self.socket.closed:
                self._schedule()

    def _has_more(self) -> bool:
        """Asked, not tried: the exception that an empty socket raises costs more than most messages do."""
        try:
            return bool(cast(int, self.socket.getsockopt(_EVENTS)) & _POLLIN)
        except zmq.ContextTerminated:
            return False
