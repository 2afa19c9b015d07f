"""Has the kernel acknowledge what came over TCP now, not up to 40 ms later.

A camera that writes packets one by one, and has not turned Nagle's algorithm off, holds the end of a picture back until
what it sent before is acknowledged (RFC 1122 4.2.3.4). The kernel forgets it by and by: after every report we send it
takes the connection for a dialogue. So it is told after each read within a picture, and after the first of all others
once something was sent: of a picture that came whole the camera holds nothing back.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


class _Borrowed(socket.socket):
    """A socket with another one's descriptor, which that one closes: collecting this one as garbage must not."""

    def __del__(self) -> None:
        self.detach()


class QuickAck:
    """One connection's acknowledging; does nothing before it ``begin``s. It is ``due`` whenever something was sent."""

    def __init__(self) -> None:
        self.due = True  # ``acknowledge`` is to be called at the next read, whatever comes
        self._socket: socket.socket | None = None  # the transport's, which closes it

    def begin(self, transport: asyncio.BaseTransport) -> None:
        """Hold on to the connection that is there."""
        if sock := transport.get_extra_info("socket"):
            # uvloop's own makes another one for each call: that took longer than the call.
            self._socket = _Borrowed(sock.family, sock.type, sock.proto, fileno=sock.fileno())

    def acknowledge(self) -> None:
        """Acknowledge what was read."""
        self.due = False
        if _QUICKACK is not None and self._socket is not None:
            with suppress(OSError):  # closed a moment ago
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def end(self) -> None:
        """Let go of the connection that is gone: its file descriptor may be another one's soon."""
        if self._socket is not None:
            self._socket.detach()
            self._socket = None
