"""Passes the bytes of a connection on to an egress of this machine, where the connection itself cannot be handed over.

That is TLS, which ends here. From the egress come finished messages, which are encrypted and sent, no faster than the
viewer takes them: the egress then finds its end full, and the viewer skips. The other way goes next to nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from broker.front.connections import Connection

CHUNK = 64 << 10  # bytes: what one read takes, and what waits here of one viewer beside aiohttp's own buffer


class Tunnel:
    """One viewer's connection, and our end of the pair of sockets whose other end the egress has."""

    def __init__(self, connection: Connection, transport: asyncio.Transport, ours: socket.socket) -> None:
        self._connection = connection
        self._transport = transport
        self._ours = ours
        ours.setblocking(False)

    async def run(self) -> None:
        """Pass on until either side closes."""
        loop = asyncio.get_running_loop()
        self._connection.set_parser(self)  # type: ignore[arg-type]  # it wants these two methods of one
        with contextlib.suppress(ConnectionError):
            while data := await loop.sock_recv(self._ours, CHUNK):
                self._transport.write(data)
                await self._connection.drained()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """The viewer says something. One that says more than the egress reads is sent away."""
        try:
            kept = self._ours.send(data) == len(data)
        except OSError:
            kept = False
        return not kept, b""

    def feed_eof(self) -> None:
        """The viewer has gone."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
