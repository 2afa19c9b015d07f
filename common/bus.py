"""ZeroMQ as we use it: where the sockets are, how they are secured, and how an event loop reads them.

Plain sockets, never ``zmq.asyncio`` (15 µs a message against 1). A socket's file descriptor is edge-triggered: it
signals that something changed, once, and a send may swallow the signal. ``Channel`` therefore drains until nothing is
left, calls itself again after a capped drain, and looks once more after it has sent.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import hmac
import ipaddress
import os
import re
import socket as sockets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import cast

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from common.cameras import redact
from common.control import MAX_MESSAGE_BYTES
from common.errors import AddressInUseError, ConfigError
from common.log_taps import FOLLOWERS, forget_killed
from common.media import MAX_FRAME_BYTES

MEDIA_HWM = 20_000  # batches a peer: 2 s of a hundred cameras; for fewer, egress drops what is older than 2 s
CONTROL_HWM = 10_000  # messages a peer: a burst of joins must fit
_EVENTS, _POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)  # an enum's member takes twice as long
DRAIN_LIMIT = 128  # messages handled before other work of the loop gets its turn …
DRAIN_TIME = 0.004  # … and seconds: an offer takes one to two milliseconds, and they come in hundreds
MAX_PORT = 65_532  # and three more
MAX_IPC_PATH = 107  # bytes: sun_path of a Unix socket less its NUL

_TCP_ADDRESS = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s/:@\[\]]+):(\d{1,5})")
_WILDCARD = re.compile(r"^tcp://(?:\*|0\.0\.0\.0|\[::\]):")
_OWNER_ONLY = 0o600  # the directory is private too; a mode that says so needs no second look
_OUR_FILES = {"control", "media-in", "media-out", "lock", FOLLOWERS}
_MEDIA_SOCKETS = {zmq.PUB, zmq.SUB, zmq.XPUB, zmq.XSUB}
_CONTROL_SOCKETS = {zmq.DEALER, zmq.ROUTER}


class Domain(StrEnum):
    """The purpose of a connection to the broker (ZMQ RFC 27: the domain of a ZAP request)."""

    CONTROL = "control"
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    JOIN = "join"


class Part(StrEnum):
    """A part of what stands at the broker's address, each perhaps a process: control plane, or relay of media."""

    CONTROL = "broker"
    RELAY = "media relay"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The sockets of a broker. Workers are told one address and derive the rest."""

    address: str
    control: str  # ROUTER: the control plane
    media_in: str  # XSUB: ingest publishes here
    media_out: str  # XPUB: egress subscribes here
    join: str = ""  # ROUTER: a worker token is exchanged here for a key; none between processes of one machine

    @classmethod
    def parse(cls, address: str) -> Endpoints:
        """``ipc://DIRECTORY`` or ``tcp://HOST:PORT``, which takes PORT and the next three. Raises ``ConfigError``."""
        key = "broker.address"
        directory = address.rstrip("/")
        if directory.startswith("ipc:///"):
            if len(os.fsencode(directory)) + len("/media-out") - len("ipc://") > MAX_IPC_PATH:
                raise ConfigError(f"{address!r} is longer than a Unix socket's path may be; use a shorter one", key=key)
            return cls(address, f"{directory}/control", f"{directory}/media-in", f"{directory}/media-out")
        match = _TCP_ADDRESS.fullmatch(address)
        port = int(match[2]) if match else 0
        if match is None or not 0 < port <= MAX_PORT:
            raise ConfigError(
                f"{redact(address)!r} is neither ipc:///DIRECTORY nor tcp://HOST:PORT (to {MAX_PORT})", key=key
            )
        return cls(address, *(f"tcp://{match[1]}:{each}" for each in range(port, port + 4)))

    @property
    def directory(self) -> Path | None:
        """Where the sockets are if the address is ``ipc``."""
        return Path(self.address.removeprefix("ipc://")) if self.address.startswith("ipc://") else None

    @property
    def local(self) -> Endpoints:
        """The same broker for a worker on its machine: nobody can connect to ``*``, ``0.0.0.0`` or ``[::]``."""
        return Endpoints.parse(_WILDCARD.sub("tcp://127.0.0.1:", self.address))

    @property
    def leaves_machine(self) -> bool:
        """Whether others than this machine's own processes can reach the address."""
        if self.directory is not None:
            return False
        host = self.address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
        try:
            return not ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host != "localhost"


@dataclass(frozen=True, slots=True)
class Keys:
    """CURVE key pairs (Z85): the broker's, and that of a worker.

    With one secret for the cluster both come from it, so there is nothing else to hand out. With worker tokens each
    side has the secret half of its own pair alone, and the other is empty.
    """

    server_public: bytes
    server_secret: bytes = field(repr=False)
    client_public: bytes
    client_secret: bytes = field(repr=False)

    @property
    def by_token(self) -> bool:
        """Whether they are those of a worker that joined by a token."""
        return bool(self.client_secret) and not self.server_secret

    @classmethod
    def derive(cls, secret: str) -> Keys:
        """The same secret gives the same keys on every machine."""

        def pair(name: str) -> tuple[bytes, bytes]:
            private = z85.encode(hmac.digest(secret.encode(), f"camshaft curve {name}".encode(), hashlib.sha256))
            return zmq.curve_public(private), private

        return cls(*pair("server"), *pair("client"))

    @classmethod
    def of_cluster(cls, endpoints: Endpoints, secret: str) -> Keys | None:
        """Keys for ``endpoints``, ``None`` where none are needed. Raises ``ConfigError`` where they are and are not."""
        if endpoints.directory is not None:
            return None
        if secret:
            return cls.derive(secret)
        if endpoints.leaves_machine:
            problem = (
                f"needed because {endpoints.address} can be reached from other machines: the same on each, or instead "
                "cluster.token for each worker, made by `camshaft token worker` on the broker's machine"
            )
            raise ConfigError(problem, key="cluster.secret")
        return None


@contextmanager
def authenticated(context: zmq.Context[zmq.Socket[bytes]], keys: Keys | None) -> Iterator[None]:
    """While open, CURVE servers of ``context`` accept only clients that hold the cluster's client key."""
    if keys is None:
        yield
        return
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    try:
        authenticator.configure_curve_callback("*", _ClusterMembers(keys.client_public))
        yield
    finally:
        authenticator.stop()


@dataclass(frozen=True, slots=True)
class _ClusterMembers:
    client_public: bytes

    def callback(self, domain: str, key: bytes) -> bool:  # pyzmq's authenticator calls it, with the key in Z85
        return hmac.compare_digest(key, self.client_public)


@contextmanager
def claimed_directory(endpoints: Endpoints, part: Part = Part.CONTROL) -> Iterator[None]:
    """Create the private directory of ``ipc`` sockets and hold its lock: ZeroMQ would silently take a live socket over.

    Each part of the broker has a lock, as each may be a process; the broker of a release without a relay of its own
    holds but one, and has media's sockets all the same. Raises ``AddressInUseError`` if another broker holds the lock
    or has those, ``ConfigError`` if it is not a directory of ours: one that holds other files is left alone, because
    making ``/tmp`` private would break the machine.
    """
    directory = endpoints.directory
    if directory is None:
        yield
        return
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid != os.getuid():
            raise ConfigError(f"{directory} belongs to another user", key="broker.address")
        if not _OUR_FILES.issuperset(entry.name for entry in directory.iterdir()):
            raise ConfigError(f"{directory} holds other files; name a directory of its own", key="broker.address")
        directory.chmod(0o700)
        if part is Part.CONTROL:
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        else:  # the directory itself: an earlier release takes none that holds a file which it does not know
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise ConfigError(f"{directory}: {exc.strerror}", key="broker.address") from None
    try:
        if part is Part.CONTROL:
            os.fchmod(lock, _OWNER_ONLY)  # an earlier release made it readable
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AddressInUseError(part.value, endpoints.address, "--broker-address") from None
        if part is Part.RELAY and somebody_listens(endpoints.media_in):
            raise AddressInUseError(part.value, endpoints.media_in, "--broker-address")
        forget_killed(directory)
        try:
            yield
        finally:
            forget_killed(directory)  # an earlier release takes no directory that holds theirs
    finally:
        os.close(lock)


def somebody_listens(endpoint: str) -> bool:
    """Whether a process has the Unix socket. One that was killed leaves its name, where nobody answers."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(endpoint.removeprefix("ipc://")) in (0, errno.EAGAIN)  # EAGAIN: its queue is full


def open_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, keys: Keys | None = None) -> zmq.Socket[bytes]:
    """A socket with every option of ours set, ready for ``bind`` or ``connect``."""
    socket = context.socket(kind)
    media = kind in _MEDIA_SOCKETS
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.SNDHWM, MEDIA_HWM if media else CONTROL_HWM)
    socket.setsockopt(zmq.RCVHWM, MEDIA_HWM if media else CONTROL_HWM)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES if media else MAX_MESSAGE_BYTES)
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

    ``domain`` is what a ZAP handler decides by, where workers have keys of their own.
    """
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
        raise ConfigError(f"cannot listen on {endpoint}: {exc.strerror}", key="broker.address") from None


def connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Connect ``socket`` to where ``bind`` listens.

    On one machine heartbeats come from there alone, as each wakes two threads: a broker that dies breaks the
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
        self._schedule()  # asking, too, may have swallowed the descriptor's signal
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
