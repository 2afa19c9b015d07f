"""One connection between two processes of a machine, by which frames go as they go over the bus. Nothing waits.

Each frame stands behind its length, four bytes. What the kernel does not take is kept, in order; a peer for which
something has waited longer than ``STALLED``, or more than ``MAX_WAITING`` waits, is given up: it stands still or is too
slow, and what waits is too old to be of use.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from common.bus import DRAIN_TIME

MAX_WAITING = 128 << 20  # bytes for one peer: 2 s of a hundred cameras of 4 Mb/s, and a group of pictures or two
STALLED = 5.0  # seconds that the oldest may wait: a process that stood still for less goes on with it
READ_BYTES = 1 << 16  # at once: some pictures
MOST_PARTS = 512  # of one message to the kernel, which takes 1,024
_LENGTH = struct.Struct("!I")
_UCRED = struct.Struct("3i")  # unix(7): pid, uid, gid


def uid_of_peer(connected: socket.socket) -> int:
    """The user of the process at the other end. Raises ``OSError``."""
    uid: int = _UCRED.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[1]
    return uid


class Pipe:
    """A connected stream socket on the running event loop.

    ``on_frame`` is called with each frame, none longer than ``longest``; ``on_end`` once, when nothing comes any more
    and unless it was closed by ``close``. Nothing is read before ``open``.
    """

    def __init__(self, connected: socket.socket, *, longest: int) -> None:
        self.on_frame: Callable[[bytes], object] = lambda _frame: None
        self.on_end: Callable[[], object] = lambda: None
        self.given_up = False  # the peer stood still, or was too slow
        self._socket, self._fd = connected, connected.fileno()
        self.allow(longest)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._reads = False  # whenever something is there
        self._unsent: list[bytes] = []  # parts of frames, of this turn of the event loop
        self._unsent_bytes = 0
        self._waiting: deque[tuple[float, memoryview]] = deque()  # since when: the kernel had no room for it
        self._waiting_bytes = 0
        self._partial = bytearray()  # a frame of which not all is here
        self._whole: deque[bytes] = deque()
        connected.setblocking(False)

    def allow(self, longest: int) -> None:
        """Take frames of so many bytes at most from now on."""
        self._longest = longest
        self._buffer = bytearray(min(READ_BYTES, longest + _LENGTH.size))
        self._view = memoryview(self._buffer)

    @property
    def closed(self) -> bool:
        """Whether nothing comes or goes any more."""
        return self._closed

    def open(self) -> None:
        """Read from now on, whenever something is there."""
        if self._closed:
            return
        self._reads = True
        if self._whole:  # it comes before what is read next
            self._loop.call_soon(self._go_on)
        else:
            self._loop.add_reader(self._fd, self.read)

    def rest(self) -> None:
        """Read only when ``read`` is called."""
        if not self._closed:
            self._reads = False
            self._loop.remove_reader(self._fd)

    def put(self, frame: bytes, head: bytes = b"") -> None:
        """Have a frame sent with the next ``flush``, whose beginning is ``head`` and whose rest ``frame``."""
        size = len(head) + len(frame)
        self._unsent += (_LENGTH.pack(size), head, frame) if head else (_LENGTH.pack(size), frame)
        self._unsent_bytes += _LENGTH.size + size

    def put_whole(self, frame: memoryview) -> None:
        """Have a frame that stands behind its length sent with the next ``flush``; it is copied."""
        self._unsent.append(bytes(frame))
        self._unsent_bytes += len(frame)

    def send_at_once(self, frame: memoryview) -> None:
        """Send a frame that stands behind its length, behind what was put; it is copied unless the kernel takes all."""
        sent = 0
        if not (self._unsent or self._waiting or self._closed):
            with suppress(OSError):  # ``flush`` meets the same, and says what is done
                sent = self._socket.send(frame)
        if sent < len(frame):
            self.put_whole(frame[sent:])
            self.flush()

    def flush(self) -> None:
        """Send what was put, together: that wakes the peer once."""
        parts, self._unsent = self._unsent, []
        size, self._unsent_bytes = self._unsent_bytes, 0
        if self._closed or not parts:
            return
        if self._waiting or len(parts) > MOST_PARTS:
            self._wait_for_room(memoryview(b"".join(parts)))
            return
        try:
            sent = self._socket.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):  # what it has sent is still to be read, and its end
            return
        except OSError:  # as for want of memory: no frame may be missing
            self._end()
            return
        if sent < size:
            self._wait_for_room(memoryview(b"".join(parts))[sent:])

    def send(self, frame: bytes) -> None:
        """Send one frame by itself, behind what was put."""
        self.put(frame)
        self.flush()

    def close(self) -> None:
        """End the connection; twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._waiting.clear()
        self._socket.close()

    def read(self) -> bool:
        """Hand on what is there, up to ``READ_BYTES``. Returns whether more may be there."""
        if self._closed:
            return False
        more = True
        if not self._whole:
            try:
                count = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return False
            except OSError:
                count = 0
            more = count == len(self._buffer)  # which a handler may exchange
            if not self._partial and count > _LENGTH.size:
                (size,) = _LENGTH.unpack_from(self._buffer)
                if count == _LENGTH.size + size:  # as most reads are: one frame, and all of it
                    self.on_frame(bytes(self._view[_LENGTH.size : count]))
                    return not self._closed and more
            if not count or not self._cut(self._view[:count]):
                self._end()
                return False
        self._hand_on()
        return not self._closed and (more or bool(self._whole))

    def _cut(self, come: memoryview) -> bool:
        """Cut what has come into frames. ``False`` if it is not made of frames."""
        if self._partial:
            self._partial += come
            if len(self._partial) < self._needed(self._partial):
                return self._needed(self._partial) <= self._longest + _LENGTH.size
            come = memoryview(bytes(self._partial))
        at, end = 0, len(come)
        while at + _LENGTH.size <= end:
            (size,) = _LENGTH.unpack_from(come, at)
            if size > self._longest:
                return False
            if at + _LENGTH.size + size > end:
                break
            self._whole.append(bytes(come[at + _LENGTH.size : at + _LENGTH.size + size]))
            at += _LENGTH.size + size
        self._partial = bytearray(come[at:])
        return True

    @staticmethod
    def _needed(partial: bytearray) -> int:
        """Bytes that the first frame of it takes, or its length does."""
        if len(partial) < _LENGTH.size:
            return _LENGTH.size
        size: int = _LENGTH.unpack_from(partial)[0]
        return _LENGTH.size + size

    def _hand_on(self) -> None:
        until = time.monotonic() + DRAIN_TIME
        try:
            while self._whole and not self._closed:
                self.on_frame(self._whole.popleft())
                if time.monotonic() > until:
                    return
        finally:  # also when a handler raised: its error is the loop's to report, the rest still must be read
            if self._whole and self._reads and not self._closed:
                self._loop.remove_reader(self._fd)
                self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        try:
            self._hand_on()
        finally:
            if self._reads and not self._whole:
                self.open()

    def _wait_for_room(self, rest: memoryview) -> None:
        if not self._waiting:
            self._loop.add_writer(self._fd, self._writable)
        self._waiting.append((self._loop.time(), rest))
        self._waiting_bytes += len(rest)
        self._look_at_age()

    def _look_at_age(self) -> None:
        """Give the peer up if the oldest of what waits is too old, or it is too much."""
        if self._waiting_bytes > MAX_WAITING or self._loop.time() - self._waiting[0][0] > STALLED:
            self.given_up = True
            self._end()

    def _writable(self) -> None:
        try:
            while self._waiting:
                since, rest = self._waiting[0]
                sent = self._socket.send(rest)
                self._waiting_bytes -= sent
                if sent < len(rest):
                    self._waiting[0] = since, rest[sent:]
                    self._look_at_age()
                    return
                self._waiting.popleft()
        except BlockingIOError:
            self._look_at_age()
            return
        except (BrokenPipeError, ConnectionResetError):  # as in ``flush``
            self._waiting.clear()
            self._waiting_bytes = 0
        except OSError:  # the peer would take the next frame for the rest of this one
            self._end()
            return
        self._loop.remove_writer(self._fd)

    def _end(self) -> None:
        """Close, and say so once whoever sends now is done."""
        if not self._closed:
            self.close()
            self._loop.call_soon(self.on_end)
