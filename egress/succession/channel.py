"""The socket between an egress and its successor: whole messages with the sockets that come along (SCM_RIGHTS).

It lies in a directory of our user's alone, with mode 0600, and either end looks who is at the other (SO_PEERCRED):
nobody but a process of our own user is spoken to.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from common.errors import ProtocolError
from egress.succession.states import MAX_MESSAGE, MAX_SOCKETS, Message, decode, encode

PATIENCE = 5.0  # seconds for the next word, where the other one has only to say it
MAX_DESCRIPTORS = 2 * MAX_SOCKETS  # of one message
_BUFFER = 1 << 20  # bytes asked for: some hundred sessions; the system caps it (net.core.wmem_max)
_UCRED = struct.Struct("3i")  # unix(7): process, user, group

_Add = Callable[[socket.socket, Callable[[], None]], None]
_Remove = Callable[[socket.socket], bool]


class GoneError(ConnectionError):
    """The other process has closed the channel, or ended."""


class Channel:
    """One connection on the running event loop. Whatever fails raises ``GoneError`` or ``ProtocolError``."""

    def __init__(self, sock: socket.socket) -> None:
        """Raises ``PermissionError``, and closes it, if another user's process is there."""
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        _, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if user != os.geteuid():
            self.close()
            raise PermissionError("another user's process is at the other end")

    def close(self) -> None:
        """Say and hear nothing more."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    @property
    def ended(self) -> bool:
        """Whether the other end is closed, and nothing is left to be read."""
        try:
            return self._socket.fileno() < 0 or not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def send(self, message: Message, sockets: Sequence[socket.socket] = ()) -> None:
        """Say something. If this raises, it was not said."""
        data, descriptors = encode(message), [each.fileno() for each in sockets]
        while True:
            try:
                socket.send_fds(self._socket, [data], descriptors)
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)
            except OSError as exc:
                raise GoneError(exc.strerror) from None
            else:
                return

    async def receive(self) -> tuple[Message, list[socket.socket]]:
        """The next word, and the sockets that came along."""
        while True:
            try:
                data, descriptors, flags, _ = socket.recv_fds(
                    self._socket, MAX_MESSAGE + 1, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
                )
                break
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
            except OSError as exc:
                raise GoneError(exc.strerror) from None
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        try:
            return _read(data, flags), sockets
        except BaseException:
            for each in sockets:
                each.close()
            raise

    async def _ready(self, add: _Add, remove: _Remove) -> None:
        ready = self._loop.create_future()
        add(self._socket, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            remove(self._socket)


def _read(data: bytes, flags: int) -> Message:
    if not data:
        raise GoneError("it has ended")
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise ProtocolError("more than a message has")
    return decode(data)


def connect(path: Path) -> Channel | None:
    """To who listens at ``path``; ``None`` if nobody does. Raises ``PermissionError``."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
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
        made.listen(1)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made
