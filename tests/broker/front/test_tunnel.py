"""A tunnel holds little of what goes either way."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from broker.front.connections import Connection
from broker.front.tunnel import MAX_SAID, Tunnel

PATIENCE = 10.0  # seconds


async def test_a_viewer_that_says_more_than_its_egress_reads_is_sent_away() -> None:
    class Front:
        """The viewer's connection, which says what the test does."""

        def set_parser(self, _: object) -> None: ...

    egress, ours = socket.socketpair()
    with egress:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        tunnel = Tunnel(cast(Connection, Front()), writer.transport, reader, writer)
        passing = asyncio.create_task(tunnel.run())
        await asyncio.sleep(0)
        assert tunnel.feed_data(b"pong") == (False, b"")
        assert not writer.transport.is_closing()
        for _ in range(1_000):
            tunnel.feed_data(bytes(MAX_SAID))
            if writer.transport.is_closing():
                break
        async with asyncio.timeout(PATIENCE):
            await passing
        assert writer.transport.get_write_buffer_size() <= 2 * MAX_SAID
