"""Passes the bytes of a connection on to an egress, where the connection itself cannot be handed over.

That is TLS, which ends here, and an egress on another machine. From the egress come finished messages, which are sent
no faster than the viewer takes them: the egress then finds its end full, and the viewer skips. The other way goes next
to nothing.
"""

from __future__ import annotations

import asyncio
import contextlib

from broker.front.connections import Connection

CHUNK = 64 << 10  # bytes: what one read takes, and what waits here of one viewer beside the buffers of both connections
MAX_SAID = 16 << 10  # bytes of a viewer's that wait for the egress


class Tunnel:
    """One viewer's connection, and the way to its egress."""

    def __init__(
        self,
        connection: Connection,
        transport: asyncio.Transport,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._reader = reader
        self._writer = writer

    async def run(self) -> None:
        """Pass on until either side closes."""
        self._connection.set_parser(self)  # type: ignore[arg-type]  # it wants these two methods of one
        try:
            with contextlib.suppress(OSError):
                while data := await self._reader.read(CHUNK):
                    self._transport.write(data)
                    await self._connection.drained()
        finally:
            self._writer.transport.abort()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """The viewer says something. One that says more than the egress reads is sent away."""
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > MAX_SAID:
            self._writer.transport.abort()  # to aiohttp's connection, an end would be that of what it says alone
        return False, b""

    def feed_eof(self) -> None:
        """Close the way to the egress: the viewer has gone."""
        self._writer.transport.abort()
