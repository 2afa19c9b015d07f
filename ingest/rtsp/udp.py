"""UDP ports for RTP and RTCP from one camera, at our address or in a multicast group.

Only datagrams from the camera's address are taken, and with the first of them the kernel is told to take no others than
those of its port. Where the camera named its port that one comes first; servers that name one and send from another
(Freebox) are heard when nothing has come from the named one for a moment.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from common.cameras import CameraState
from common.clock import unix_ns
from common.errors import CameraError

RECEIVE_BUFFER = 4 << 20  # bytes asked for, up to net.core.rmem_max: a keyframe comes all at once
MAX_DATAGRAM = 65_536
READS = 64  # datagrams taken before other sockets get their turn …
READ_BYTES = 96 << 10  # … or as many bytes; real cameras' datagrams have 1,500
FLOODED = 0.02  # seconds for which a port is not read where all that a turn brought was from elsewhere
PATIENCE = 0.5  # seconds for which only the port that the camera named is heard
TRIES = 64  # pairs of ports looked at until both are free

_MARKER = 0x80  # RFC 3550 5.1, in the second byte; set in the packet type of RTCP as well

_buffer = bytearray(MAX_DATAGRAM)  # shared by all: each datagram is copied out at once
_view = memoryview(_buffer)


class UdpPort:
    """One bound socket on the event loop. ``to`` is where it sends, if not to whom it hears."""

    def __init__(self, sock: socket.socket, to: tuple[str, int] | None = None) -> None:
        self.strangers = 0  # datagrams from elsewhere
        self.stranger = ""  # the last address that they came from, if it was not the camera's
        self.port: int = sock.getsockname()[1]
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._addresses: frozenset[str] = frozenset()
        self._to = to
        self._remote = to  # where to send
        self._named: tuple[str, int] | None = None  # where the camera says it sends from
        self._patient_until = 0.0
        self._started = False
        self._paused = False
        self._flooded: asyncio.TimerHandle | None = None  # until it is read again
        self._connected = False  # the kernel takes datagrams of one address and port only
        self._checked = False  # and none that came before are left
        self._receive: Callable[[bytes, int], None]
        self._flush: Callable[[int, int, int], None]

    def start(
        self,
        addresses: frozenset[str],
        remote: tuple[str, int] | None,
        receive: Callable[[bytes, int], None],
        flush: Callable[[int, int, int], None],
    ) -> None:
        """Begin to read from ``addresses``; ``flush`` follows each burst, with its time, bytes and datagrams.

        ``remote`` is where the camera says it sends from and listens. If it is at the only one of the addresses,
        datagrams from other ports are not taken for ``PATIENCE``.
        """
        self._addresses, self._receive, self._flush = addresses, receive, flush
        self._remote = self._to or remote
        if remote is not None and addresses == {remote[0]}:
            self._named, self._patient_until = remote, self._loop.time() + PATIENCE
        self._started = True
        self.resume()

    def pause(self) -> None:
        """Do not read for now: what the kernel has no room for is lost."""
        self._paused = True
        if self._started and self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())

    def resume(self) -> None:
        """Read, if that has begun."""
        self._paused = False
        if self._started and self._socket.fileno() >= 0 and self._flooded is None:
            self._loop.add_reader(self._socket.fileno(), self._read)

    def send(self, data: bytes) -> None:
        """Send to the camera, once its port is known. A datagram that cannot be sent is lost, as any may be."""
        if self._remote is not None:
            with suppress(OSError):
                self._socket.sendto(data, self._remote)

    def close(self) -> None:
        """Give the port back; twice is fine."""
        if self._flooded is not None:
            self._flooded.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        receive, sock = self._receive, self._socket
        now_ns = unix_ns()
        datagrams = size = foreign = 0
        for datagrams in range(1, READS + 1):  # noqa: B007
            try:
                if self._checked:
                    count = sock.recv_into(_buffer)
                else:
                    count, source = sock.recvfrom_into(_buffer)
                    if not self._accept(source):
                        foreign += 1
                        continue
            except BlockingIOError:
                self._checked = self._connected
                break
            except OSError:  # ICMP's answer to something that was sent
                continue
            size += count
            receive(bytes(_view[:count]), now_ns)
            if size >= READ_BYTES:
                break
            if self._checked and _buffer[1] & _MARKER:  # as a rule nothing follows a picture's end, nor a report
                break
        if foreign == READS:
            self._rest()
        if datagrams > foreign:  # what others send is not held against the camera
            self._flush(now_ns, size, datagrams - foreign)

    def _rest(self) -> None:
        """Leave what strangers send to the kernel, which drops it where there is too much."""
        self._loop.remove_reader(self._socket.fileno())
        self._flooded = self._loop.call_later(FLOODED, self._rested)

    def _rested(self) -> None:
        self._flooded = None
        if not self._paused:
            self.resume()

    def _accept(self, source: tuple[str, int]) -> bool:
        if source[0] not in self._addresses:
            self.strangers += 1
            self.stranger = source[0]
            return False
        wanted = self._remote if self._connected else self._named
        early = self._connected or self._loop.time() < self._patient_until
        if wanted is not None and source[:2] != wanted and early:
            self.strangers += 1
            return False
        if not self._connected:
            self._lock(source[:2])
        return True

    def _lock(self, remote: tuple[str, int]) -> None:
        with suppress(OSError):
            self._socket.connect(remote)
            self._remote, self._connected = self._to or remote, True


def bind_pair(local: str, family: int) -> tuple[UdpPort, UdpPort]:
    """Ports for RTP, an even one, and RTCP, the next one (RFC 3550 11). Raises ``CameraError``."""
    refused: list[socket.socket] = []  # kept until the end, so that the same ones are not offered again
    try:
        for _ in range(TRIES):
            first = _bind(local, 0, family)
            port = first.getsockname()[1]
            try:
                second = _bind(local, port ^ 1, family)
            except OSError:
                refused.append(first)
                continue
            return (UdpPort(first), UdpPort(second)) if port % 2 == 0 else (UdpPort(second), UdpPort(first))
    except OSError as exc:
        raise CameraError(CameraState.UNREACHABLE, f"no UDP port to receive at: {exc.strerror}") from None
    finally:
        for sock in refused:
            sock.close()
    raise CameraError(CameraState.UNREACHABLE, "no pair of UDP ports to receive at is free")


def _bind(local: str, port: int, family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.bind(socket.getaddrinfo(local, port, family, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)[0][4])
    except OSError:
        sock.close()
        raise
    return sock
