"""Viewers by the page's own port, as a load: sockets that read and count, and keep what one gets for the floor."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from bench.floor import compiled
from rigs.handshake import REQUEST
from rigs.load.report import ViewerCounts

SOURCE = Path(__file__).parent / "floor" / "sockets.c"
_BUFFER = memoryview(bytearray(1 << 18))  # of all: nobody looks at what was read
_LONG, _LONGEST = 126, 127  # RFC 6455 5.2


class Reader(asyncio.BufferedProtocol):
    """One viewer. With ``keeps`` it has its messages, and when each was whole."""

    def __init__(self, number: int, request: bytes = b"", *, keeps: bool = False) -> None:
        self.counts = ViewerCounts(number, "connected")
        self.kept: list[tuple[float, bytes]] = []
        self.over = False
        self._request = request
        self._keeps = keeps
        self._rest = bytearray()
        self._answered = not request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the camera."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def get_buffer(self, sizehint: int) -> memoryview:
        """See ``BufferedProtocol``."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Count, and keep if that is wanted."""
        self.counts.bytes += nbytes
        if self._keeps:
            self._rest += _BUFFER[:nbytes]
            self._take()

    def breathe(self) -> None:
        """Say that we are there, as a browser does when it is asked: an unsolicited pong (RFC 6455 5.5.3)."""
        self.transport.write(b"\x8a\x80\0\0\0\0")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the connection's end."""
        self.over = True

    def _take(self) -> None:
        if not self._answered:
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(head.decode(errors="replace"))
            self._rest, self._answered = rest, True
        while (size := _size(self._rest)) and len(self._rest) >= size:
            self.kept.append((time.monotonic(), bytes(self._rest[:size])))
            del self._rest[:size]


def _size(data: bytearray) -> int:
    """Bytes of the message that ``data`` begins with; 0 if that is not known yet."""
    if len(data) < 10:
        return 0
    short = data[1] & 127
    if short < _LONG:
        return 2 + short
    return 4 + int.from_bytes(data[2:4]) if short < _LONGEST else 10 + int.from_bytes(data[2:10])


async def join(url: str, camera: str, viewers: int) -> list[Reader]:
    """Viewers of a camera; the first keeps its messages."""
    host, port = cast(str, urlsplit(url).hostname), cast(int, urlsplit(url).port)
    request = REQUEST.format(camera=camera, host=f"{host}:{port}").encode()
    return await _connected(host, port, viewers, request)


async def _connected(host: str, port: int, viewers: int, request: bytes = b"") -> list[Reader]:
    readers = [Reader(number, request, keeps=bool(request) and number == 0) for number in range(viewers)]
    for reader in readers:
        await asyncio.get_running_loop().create_connection(lambda reader=reader: reader, host, port)  # type: ignore[misc]  # mypy infers no lambda with a default
    return readers


def leave(readers: list[Reader]) -> None:
    """Close all of them."""
    for reader in readers:
        reader.transport.abort()


@asynccontextmanager
async def floor(
    messages: list[tuple[float, bytes]], viewers: int, directory: Path
) -> AsyncIterator[tuple[int, list[Reader]]]:
    """The program that sends these messages to as many viewers; its process id, and they."""
    program, file = compiled(SOURCE, directory, "sockets"), directory / "messages"
    begin = messages[0][0]
    records = (struct.pack("=II", int((at - begin) * 1e6), len(data)) + data for at, data in messages)
    file.write_bytes(b"".join(records))
    pipe: Any = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(program, str(file), str(viewers), stdin=pipe, stdout=pipe)
    try:
        assert process.stdout is not None
        readers = await _connected("127.0.0.1", int(await process.stdout.readline()), viewers)
        yield process.pid, readers
        leave(readers)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
