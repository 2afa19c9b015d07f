"""The socket between an egress and its successor: whole messages with the sockets that come along (SCM_RIGHTS).

It lies in a directory of our user's alone, with mode 0600, and either end looks who is at the other (SO_PEERCRED):
nobody but a process of our own user is spoken to.

Words are read as they come, so that the end is seen at once, and few of them wait here: the rest waits in the kernel.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from common.errors import ProtocolError
from egress.succession.words import MAX_MESSAGE, MAX_SOCKETS, Message, decode, encode

PATIENCE = 5.0  # seconds for the next word, where the other one has only to say it
MAX_DESCRIPTORS = 2 * MAX_SOCKETS  # of one message
MAX_WAITING = 64  # words that are read and not taken yet
_BACKLOG = 8  # connections that wait to be accepted: a process that stands still accepts none
_BUFFER = 1 << 20  # bytes asked for: some hundred sessions; the system caps it (net.core.wmem_max)
_UCRED = struct.Struct("3i")  # unix(7): process, user, group

_Kind = TypeVar("_Kind", bound=Message)
_Heard = tuple[Message | ProtocolError, list[socket.socket]]


class GoneError(ConnectionError):
    """The other process has closed the channel, or ended."""


class Channel:
    """One connection on the running event loop. Whatever fails raises ``GoneError`` or ``ProtocolError``."""

    def __init__(self, sock: socket.socket) -> None:
        """Raises ``PermissionError``, and closes it, if another user's process is there."""
        self.over = asyncio.Event()  # nothing more comes than what was read
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._words: deque[_Heard] = deque()
        self._news = asyncio.Event()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self.process, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if user != os.geteuid():
            self.close()
            raise PermissionError("another user's process is at the other end")
        self._loop.add_reader(sock, self._readable)

    def close(self) -> None:
        """Say and hear nothing more."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
        while self._words:
            close_all(self._words.popleft()[1])
        self._end()

    @property
    def unheard(self) -> bool:
        """Whether something was said that nobody has taken yet."""
        return bool(self._words)

    async def send(self, message: Message, sockets: Sequence[socket.socket] = ()) -> None:
        """Say something. If this raises, it was not said."""
        data, descriptors = encode(message), [each.fileno() for each in sockets]
        while True:
            try:
                socket.send_fds(self._socket, [data], descriptors)
            except BlockingIOError:
                await self._writable()
            except OSError as exc:
                raise GoneError(exc.strerror) from None
            else:
                return

    async def receive(self) -> tuple[Message, list[socket.socket]]:
        """The next word, and the sockets that came along.

        Raises ``GoneError`` if the other side has ended, and ``ProtocolError`` for a word that is none.
        """
        while not self._words:
            if self.over.is_set():
                raise GoneError("it has ended")
            self._news.clear()
            await self._news.wait()
        word, sockets = self._words.popleft()
        if not self.over.is_set():
            self._loop.add_reader(self._socket, self._readable)
        if isinstance(word, ProtocolError):
            raise word
        return word, sockets

    async def hear(self, kind: type[_Kind], within: float = PATIENCE) -> _Kind:
        """The next word, which is to be of that kind, and to come alone and within so many seconds.

        Raises ``TimeoutError``, too.
        """
        async with asyncio.timeout(within):
            message, sockets = await self.receive()
        close_all(sockets)
        if sockets or not isinstance(message, kind):
            raise ProtocolError("not what is said here")
        return message

    def shut(self) -> None:
        """Let nothing more be said to us: it fails at the other end. What was said before is here then."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)
        for _ in range(MAX_WAITING):
            if not self.over.is_set():
                self._readable()

    def _readable(self) -> None:
        try:
            self._take(*self._recv())
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self._take_rest()
        except OSError:
            self._end()

    def _take_rest(self) -> None:
        """Take what the other side said before it ended. Its words are here all the same; uvloop tells of them once."""
        with suppress(OSError):
            while not self.over.is_set() and len(self._words) < MAX_WAITING:
                self._take(*self._recv())

    def _recv(self) -> tuple[bytes, list[int], int]:
        data, descriptors, flags, _ = socket.recv_fds(
            self._socket, MAX_MESSAGE + 1, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
        return data, descriptors, flags

    def _take(self, data: bytes, descriptors: Iterable[int], flags: int) -> None:
        heard = _read(data, descriptors, flags)
        if not data:
            close_all(heard[1])
            self._end()
            return
        self._words.append(heard)
        self._news.set()
        if len(self._words) >= MAX_WAITING:
            self._loop.remove_reader(self._socket)

    def _end(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
        self.over.set()
        self._news.set()

    async def _writable(self) -> None:
        ready = self._loop.create_future()
        self._loop.add_writer(self._socket, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            self._loop.remove_writer(self._socket)


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close sockets that came along and are not needed."""
    for each in sockets:
        each.close()


def _read(data: bytes, descriptors: Iterable[int], flags: int) -> _Heard:
    """A word, or why it is none; what is no socket is closed."""
    sockets: list[socket.socket] = []
    problem = "more than a message has" if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) else ""
    for descriptor in descriptors:
        try:
            sockets.append(socket.socket(fileno=descriptor))
        except OSError:
            os.close(descriptor)
            problem = "what came along is no socket"
    try:
        word: Message | ProtocolError = decode(data) if not problem else ProtocolError(problem)
    except ProtocolError as exc:
        word = exc
    if isinstance(word, ProtocolError):
        close_all(sockets)
        return word, []
    return word, sockets


def connect(path: Path) -> Channel | None:
    """To who listens at ``path``; ``None`` if nobody does, or accepts nobody. Raises ``PermissionError``."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.setblocking(False)
    try:
        made.connect(str(path))
    except OSError:
        made.close()
        return None
    return Channel(made)


def listen(path: Path) -> socket.socket:
    """A socket that listens there, in the place of one that nobody has any more. Raises ``OSError``."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        path.unlink(missing_ok=True)
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(_BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made
