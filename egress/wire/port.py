"""The one UDP port of an egress process: an IPv4 and an IPv6 socket with the same number.

Reads datagrams and hands them on with the path they came by; sends runs of datagrams, by UDP GSO where the system has
it. Both sockets are bound to every interface, so the kernel would choose the source address of what we send; a browser
that checked one of our addresses wants its answer from that one. IP_PKTINFO tells and sets it (RFC 3542 6.1 for IPv6).

The kernel's timestamps tell how long a datagram waited for us: in a rush that is longer than its way here. In a flood
the kernel drops what finds the socket full, and tells with what comes next: then a viewer's silence proves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from common import clock
from common.errors import AddressInUseError, refused
from common.log import get_logger
from egress import native
from egress.media.target import Refusal
from egress.wire.ice import Address, Path

RECEIVE_LIMIT = 128  # datagrams read before other work of the loop gets its turn …
RECEIVE_TIME = 0.01  # … and seconds: those of a DTLS handshake take a millisecond each
MAX_DATAGRAM = 2_048  # bytes we read of one: DTLS, STUN and RTCP are all below 1,500
SOCKET_BUFFER = 4 << 20  # bytes asked for; the system caps it (net.core.wmem_max)

_LINUX: Final = sys.platform == "linux"
_SOL_UDP, _UDP_SEGMENT = 17, 103  # linux/udp.h
_IP_PKTINFO = 8  # linux/in.h; Python's socket module has it from 3.14 on
_SO_TIMESTAMPNS = 64  # SO_TIMESTAMPNS_NEW, asm-generic/socket.h: two 64-bit integers everywhere; since Linux 5.1
_SO_RXQ_OVFL = 40  # asm-generic/socket.h: how many datagrams the kernel has dropped, told once there are any
_ANCILLARY_SIZE = 96  # bytes: all three with their headers
_timestamp = struct.Struct("=qq").unpack
_count = struct.Struct("=I").unpack
_segment_size = struct.Struct("=H").pack
_NO_GSO = {errno.EIO, errno.EOPNOTSUPP}  # the device has no checksum offload, or the system no GSO
_GSO_REFUSED = _NO_GSO | {errno.EINVAL, errno.EMSGSIZE}  # these two: not to this destination, as where its MTU is small

log = get_logger()

Ancillary = list[tuple[int, int, bytes]]


class MediaSocket:
    """One of the port's sockets."""

    def __init__(
        self, family: socket.AddressFamily, host: str, port: int, inherited: socket.socket | None = None
    ) -> None:
        """Bind, or take one that another process has bound."""
        self.socket = inherited if inherited is not None else socket.socket(family, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self.socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
            if family == socket.AF_INET6 and inherited is None:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._tells_local = self._ask_for_ancillary_data(family)
            if inherited is None:
                self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise
        self.family = family
        self.number: int = self.socket.getsockname()[1]  # the port's
        self.gso = self._has_gso()
        self.blocked = 0  # sends that the full buffer refused
        self.failed = 0  # sends that failed for another reason, such as no route
        self.dropped = 0  # datagrams that came and found the socket full

    def receive(self) -> tuple[bytes, Path, float]:
        """One datagram, its path, and the Unix time in seconds at which it arrived, 0 where the system does not tell.

        Raises ``BlockingIOError`` if there is none.
        """
        data, ancillary, _flags, remote = self.socket.recvmsg(MAX_DATAGRAM, _ANCILLARY_SIZE if self._tells_local else 0)
        local, arrived, dropped = _read_ancillary(ancillary)
        if dropped:  # else none yet, or the system does not tell
            self.dropped = dropped
        return data, Path(remote, local), arrived

    def way(self, path: Path) -> UdpTarget:
        """See ``Carrier``."""
        return UdpTarget(self, path)

    def _ask_for_ancillary_data(self, family: socket.AddressFamily) -> bool:
        if not _LINUX:
            return False
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        for option in (_SO_TIMESTAMPNS, _SO_RXQ_OVFL):
            with contextlib.suppress(OSError):  # an older kernel
                self.socket.setsockopt(socket.SOL_SOCKET, option, 1)
        return True

    def _has_gso(self) -> bool:
        try:
            self.socket.getsockopt(_SOL_UDP, _UDP_SEGMENT)
        except OSError:
            return False
        return _LINUX


class UdpTarget:
    """Where one viewer's datagrams go: socket, address, and the address of ours to send from. See ``Way``."""

    __slots__ = ("_control", "_gso", "_route", "_send", "_send_plain", "_socket", "path")
    reliable: Final = False
    stalled: Final = False  # a socket of all viewers is asked again and again
    taken: Final = 0

    def __init__(self, media_socket: MediaSocket, path: Path) -> None:
        self.path = path
        self._socket = media_socket
        self._send = media_socket.socket.sendmsg
        self._send_plain = media_socket.socket.sendto
        self._control = _from_address(path.local)
        self._gso = media_socket.gso
        self._route: native.Route = None

    @property
    def route(self) -> native.Route:
        """The target as the compiled fan-out takes it.

        It holds the socket's number: nothing may be sent by it once the socket is closed.
        """
        if self._route is None:
            sock, local = self._socket, self.path.local if self._control else b""
            self._route = native.route(sock.socket.fileno(), self._gso, sock.family, self.path.remote, local)
        return self._route

    def settle(self) -> None:
        """Name the source address no more where the kernel chooses it anyway; to be called before much is sent.

        Naming it costs 0.3 µs a call.
        """
        if self._control and self.path.local == _default_source(self._socket.family, self.path.remote):
            self._control, self._route = [], None

    def send(self, datagram: bytes | memoryview) -> bool:
        """Send one datagram. ``False`` if the socket's buffer is full; any other failure is counted and lost."""
        try:
            if self._control:
                self._send((datagram,), self._control, 0, self.path.remote)
            else:
                self._send_plain(datagram, self.path.remote)
        except OSError as exc:
            return self.refused(exc.errno, segmented=False) is not Refusal.FULL
        return True

    def refused(self, code: int | None, *, segmented: bool) -> Refusal:
        """Learn from the ``errno`` with which a datagram or, ``segmented``, several were refused, and count it."""
        if code == errno.EAGAIN:
            self._socket.blocked += 1
            return Refusal.FULL
        if not (segmented and code in _GSO_REFUSED):
            self._socket.failed += 1
            return Refusal.LOST
        self._gso, self._route = False, None
        if code in _NO_GSO and self._socket.gso:
            self._socket.gso = False
            log.warning("UDP GSO refused; sending one message per packet from now on", error=os.strerror(code))
        return Refusal.NO_GSO

    def send_run(self, datagrams: memoryview, size: int) -> bool:
        """Send datagrams that lie back to back, each ``size`` bytes, the last perhaps fewer.

        ``False`` if the socket's buffer is full and nothing of them has left; any other failure is counted and lost.
        """
        if len(datagrams) <= size:
            return self.send(datagrams)
        if not self._gso:
            return self._send_each(datagrams, size)
        try:
            segment = (_SOL_UDP, _UDP_SEGMENT, _segment_size(size))
            self._send((datagrams,), (segment, *self._control), 0, self.path.remote)
        except OSError as exc:
            refusal = self.refused(exc.errno, segmented=True)
            return self._send_each(datagrams, size) if refusal is Refusal.NO_GSO else refusal is not Refusal.FULL
        return True

    def _send_each(self, datagrams: memoryview, size: int) -> bool:
        for at in range(0, len(datagrams), size):
            if not self.send(datagrams[at : at + size]):
                # The numbers of what has left must not be used again for anything else (RFC 7714 8.1), so the caller
                # takes all for sent, and the viewer asks for the rest.
                return at > 0
        return True


class MediaPort:
    """Both sockets on the running event loop.

    ``on_datagram`` gets the datagram, its path, the socket, the monotonic time in seconds and the Unix time in
    nanoseconds (``common.clock``), and for how many seconds it has waited.
    """

    def __init__(self, host: str, number: int, inherited: Sequence[socket.socket] = ()) -> None:
        """Bind, unless sockets are ``inherited``. ``host`` empty: all interfaces, IPv4 and IPv6; ``number`` 0: any
        free port.

        Raises ``AddressInUseError`` or ``ConfigError``.
        """
        self.sockets: list[MediaSocket] = []
        self.sockets += [MediaSocket(sock.family, "", 0, sock) for sock in inherited]
        found = families(host) if not inherited else []
        try:
            for family, address in found:
                self._open(family, address, self.number or number, optional=len(found) > 1 and bool(self.sockets))
        except BaseException:
            self.close()
            raise

    @property
    def number(self) -> int:
        """The port's number; 0 before the first socket is bound."""
        return self.sockets[0].number if self.sockets else 0

    def start(self, on_datagram: Callable[[bytes, Path, MediaSocket, float, int, float], None]) -> None:
        """Read from now on."""
        self._on_datagram = on_datagram
        loop = asyncio.get_running_loop()
        for media_socket in self.sockets:
            loop.add_reader(media_socket.socket, self._readable, media_socket)

    def pause(self) -> None:
        """Read nothing more until it is started again."""
        for media_socket in self.sockets:
            with contextlib.suppress(RuntimeError):  # no loop: never started
                asyncio.get_running_loop().remove_reader(media_socket.socket)

    def close(self) -> None:
        """Stop reading and close."""
        self.pause()
        for media_socket in self.sockets:
            media_socket.socket.close()
        self.sockets.clear()

    def _open(self, family: socket.AddressFamily, host: str, number: int, *, optional: bool) -> None:
        try:
            self.sockets.append(MediaSocket(family, host, number))
        except OSError as exc:
            address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
            if exc.errno == errno.EADDRINUSE:
                raise AddressInUseError("media", f"UDP {address}", "--media-port") from None
            if not optional:
                raise refused(exc.errno, f"cannot bind UDP {address}: {exc.strerror}", key="media.listen") from None
            log.info("no IPv6 on this machine", error=exc.strerror)

    def _readable(self, media_socket: MediaSocket) -> None:
        now = time.monotonic()
        until = now + RECEIVE_TIME
        for _ in range(RECEIVE_LIMIT):
            try:
                data, path, arrived = media_socket.receive()
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an earlier send
                continue
            if data:
                waited = max(0.0, time.time() - arrived) if arrived else 0.0
                self._on_datagram(data, path, media_socket, now, clock.unix_ns(), waited)
            now = time.monotonic()
            if now > until:
                return


def families(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """The families and addresses to bind to. ``host`` empty: all interfaces. Raises ``ConfigError``."""
    if not host:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104  # viewers come from anywhere
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise refused(
            exc.errno, f"{host!r} is not an address of this machine: {exc.strerror}", key="media.listen"
        ) from None
    return [(found[0][0], str(found[0][4][0]))]


def _read_ancillary(ancillary: Ancillary) -> tuple[bytes, float, int]:
    """The packed address of ours that was sent to, the Unix time of arrival, and how many were dropped before.

    They are empty and 0 where the system does not tell.
    """
    local, arrived, dropped = b"", 0.0, 0
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _timestamp(data)
            arrived = seconds + nanoseconds / 1e9
        elif level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            local = data[4:8]  # struct in_pktinfo: interface, local address, header's destination
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            local = data[:16]  # struct in6_pktinfo: address, interface
        elif level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
            (dropped,) = _count(data)
    return local, arrived, dropped


def _default_source(family: socket.AddressFamily, remote: Address) -> bytes:
    """The packed address that the kernel would send from by itself."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(remote)  # sends nothing
        except OSError:
            return b""
        return socket.inet_pton(family, probe.getsockname()[0].partition("%")[0])


def _from_address(local: bytes) -> Ancillary:
    """Ancillary data that makes the kernel send from ``local``; the interface is left to routing."""
    if len(local) == 4:
        return [(socket.IPPROTO_IP, _IP_PKTINFO, bytes(4) + local + bytes(4))]
    if len(local) == 16:
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, local + bytes(4))]
    return []
