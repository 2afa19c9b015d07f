"""One viewer's TCP connection (RFC 6544): reads nothing by itself, sends framed datagrams, and never waits.

A run is one system call. Of a frame that the kernel takes in part the rest is kept, and goes before anything else;
until there is room again, the connection is *stalled* and takes no media. Its viewer falls behind, as one does whose
datagrams the kernel refuses, and goes on at the next keyframe if that lasts. STUN, DTLS and RTCP queue up meanwhile,
within a bound: a viewer that is slow still answers for itself.

The kernel is asked to hold little that it has not sent yet (TCP_NOTSENT_LOWAT), as pictures that wait there are late.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final

from egress.media.target import Refusal
from egress.wire.framing import PREFIX_SIZE, Deframer, framed, prefix
from egress.wire.ice import CONSENT_TIMEOUT, Path

NOTSENT = 64 << 10  # bytes that the kernel holds unsent: an eighth of a second at 4 Mb/s
CONTROL_QUEUE = 16 << 10  # bytes of STUN, DTLS and RTCP that wait on a stalled connection: half a minute of it
_LINUX: Final = sys.platform == "linux"
_TCP_NOTSENT_LOWAT = 25  # linux/tcp.h; Python's socket module has it from 3.12 on for some systems


class TcpConnection:
    """One connection on the running event loop: carrier, way and target at once (``egress.wire.way``).

    ``on_lost`` is called once, when a send finds it broken.
    """

    __slots__ = (
        "_loop",
        "_on_lost",
        "_rest",
        "_socket",
        "_waiting_control",
        "deframer",
        "heard_at",
        "owned",
        "path",
        "refusals",
        "stalled",
        "taken",
    )
    reliable: Final = True
    route: Final = None  # the compiled fan-out sends datagrams

    def __init__(self, sock: socket.socket, path: Path, now: float, on_lost: Callable[[TcpConnection], None]) -> None:
        """Take an accepted socket. Raises ``OSError`` if the peer has reset it already."""
        self.path = path
        self.deframer = Deframer()
        self.stalled = False  # takes no media now
        self.taken = 0  # datagrams of the run that was refused last
        self.owned = False  # a viewer has shown by a check that it is its
        self.heard_at = now  # monotonic time of the last whole datagram, or of the beginning
        self.refusals = 0  # batches that found it stalled or full
        self._socket = sock
        self._on_lost = on_lost
        self._rest = bytearray()  # framed, to be sent before anything else
        self._waiting_control = 0  # bytes of it that are no media
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _LINUX:
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOTSENT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(CONSENT_TIMEOUT * 1_000))

    @property
    def closed(self) -> bool:
        """Whether nothing can come or go by it any more."""
        return self._socket.fileno() < 0

    def way(self, path: Path) -> TcpConnection:
        """See ``Carrier``."""
        assert path == self.path, "a connection leads to one place"
        return self

    def settle(self) -> None:
        """See ``Way``."""

    def start(self, on_readable: Callable[[TcpConnection], None]) -> None:
        """Have ``on_readable`` called whenever there is something to read."""
        self._loop.add_reader(self._socket, on_readable, self)

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; empty if the peer has closed. Raises ``BlockingIOError``, or another ``OSError``."""
        return self._socket.recv(size)

    def pause(self) -> tuple[socket.socket, bytes, bytes]:
        """Read and send nothing until it is resumed. The socket, and the rest of frames that have begun, each way."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        return self._socket, self.deframer.rest, bytes(self._rest)

    def resume(self, on_readable: Callable[[TcpConnection], None], read: bytes = b"", unsent: bytes = b"") -> None:
        """Go on, perhaps with what another process had ``read``, and left ``unsent``, of a frame."""
        if read:
            self.deframer.rest = read
        if unsent:
            self._rest += unsent
            self._waiting_control = len(unsent)
        if self._rest:
            self.stalled = True
            self._loop.add_writer(self._socket, self._writable)
        self.start(on_readable)

    def give_up(self) -> socket.socket:
        """The socket, for somebody else: it is not read here any more."""
        self._loop.remove_reader(self._socket)
        given = self._socket.dup()
        given.setblocking(False)
        return given

    def close(self) -> None:
        """Send nothing more. What the kernel has taken still leaves."""
        if not self.closed:
            self.stalled = True
            self._rest.clear()
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def send(self, datagram: bytes | memoryview) -> bool:
        """See ``Way``. On a stalled one it waits for its turn, if there is room."""
        if self.closed:
            return False
        frame = framed(datagram)
        if not self.stalled:
            if self._send((frame,), len(frame), len(frame)):
                return True
            if self._socket.fileno() < 0:  # it broke
                return False
        if self._waiting_control + len(frame) > CONTROL_QUEUE:
            self.refusals += 1
            return False
        self._waiting_control += len(frame)
        self._rest += frame
        return True

    def send_run(self, datagrams: memoryview, size: int) -> bool:
        """See ``Target``: a system call for all of them."""
        self.taken = 0
        if self.stalled:
            self.refusals += 1
            return False
        total = len(datagrams)
        parts: list[bytes | memoryview] = []
        whole = prefix(size)
        for at in range(0, total, size):
            parts += (whole, datagrams[at : at + size])
        if last := total % size:
            parts[-2] = prefix(last)
        count = len(parts) >> 1
        self.taken = self._send(parts, total + PREFIX_SIZE * count, PREFIX_SIZE + size)
        return self.taken == count

    def refused(self, code: int | None, *, segmented: bool) -> Refusal:  # the protocol's
        """See ``Target``. It has no route that could be refused."""
        return Refusal.LOST

    def _send(self, parts: Sequence[bytes | memoryview], total: int, size: int) -> int:
        """Send frames of ``size`` bytes, ``total`` in all. Returns how many have left; the rest of the last is kept."""
        try:
            sent = self._socket.sendmsg(parts)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._lose()
            return 0
        taken = -(-sent // size)
        if sent < total:
            self.stalled = True
            self._loop.add_writer(self._socket, self._writable)
            self._rest += memoryview(b"".join(parts))[sent : min(taken * size, total)]
            self.refusals += 1
        return taken

    def _writable(self) -> None:
        sent = 0
        try:
            if self._rest:
                sent = self._socket.send(self._rest)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lose()
            return
        del self._rest[:sent]
        if not self._rest:
            self.stalled, self._waiting_control = False, 0
            self._loop.remove_writer(self._socket)

    def _lose(self) -> None:
        """Close the broken connection, and tell others once the caller, who may be sending by it, is done."""
        self.close()
        with contextlib.suppress(RuntimeError):  # the loop ends
            self._loop.call_soon(self._on_lost, self)
