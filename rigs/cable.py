"""A TCP connection's way that can be cut, as a cable is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit


class Cable:
    """A TCP connection's way to a camera, which can be cut: nothing is refused or reset, nothing comes through."""

    def __init__(self, url: str) -> None:
        self._camera = urlsplit(url)
        self._whole = asyncio.Event()
        self._whole.set()
        self.url = ""
        self.connections = 0  # that are open
        self.dialled_at = 0.0  # monotonic seconds at which the last connection came
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def cut(self, seconds: float) -> str:
        """Let nothing through for a time."""
        with self.cut_meanwhile():
            await asyncio.sleep(seconds)
        return ""

    @contextmanager
    def cut_meanwhile(self) -> Iterator[None]:
        """Let nothing through while open."""
        self._whole.clear()
        try:
            yield
        finally:
            self._whole.set()

    @asynccontextmanager
    async def laid(self, port: int = 0) -> AsyncIterator[int]:
        """While open, what connects to the ``port`` (0: any), which is given, is led to the camera."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", port) as server:
            try:
                yield server.sockets[0].getsockname()[1]
            finally:
                server.close()
                self._whole.set()
                for end in self._ends:
                    end.transport.abort()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        self.dialled_at = time.monotonic()
        task = asyncio.current_task()
        assert task is not None, "the server makes one for each"
        self._tasks.add(task)
        self._ends.add(writer)
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection(self._camera.hostname, self._camera.port)
                self._ends.add(back)
                self.connections += 1
                try:
                    await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
                finally:
                    self.connections -= 1
                    back.close()
                    self._ends.discard(back)
        finally:
            writer.close()
            self._ends.discard(writer)
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def cable(url: str) -> AsyncIterator[Cable]:
    """A cable to the camera at ``url``; its own ``url`` leads through it."""
    way = Cable(url)
    async with way.laid() as port:
        parts = urlsplit(url)
        way.url = parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()
        yield way
