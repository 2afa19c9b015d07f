"""A cable carries, holds back while it is cut, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import time

from rigs.cable import Cable

PATIENCE = 20.0  # seconds


async def test_what_was_held_back_comes_when_the_cable_is_whole_again() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async with asyncio.timeout(PATIENCE), await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        wire = Cable(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with wire.laid() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            assert wire.connections == 1
            assert time.monotonic() - PATIENCE < wire.dialled_at < time.monotonic()
            with wire.cut_meanwhile():
                writer.write(b"two")
                held = asyncio.ensure_future(reader.readexactly(3))
                done, _ = await asyncio.wait({held}, timeout=0.1)
                assert not done
            assert await held == b"two"
        assert wire.connections == 0
        assert await reader.read() == b""
        writer.close()
