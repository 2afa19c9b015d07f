"""Motion JPEG over HTTP as servers write it: boundaries of all kinds, lengths that are none or wrong, chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from common.cameras import CameraState
from tests.fakes.demuxed import pulled, sees


@dataclass(frozen=True)
class Kind:
    """How a server writes."""

    content_type: str = "multipart/x-mixed-replace; boundary=frame"
    delimiter: str = "--frame"
    part: str = "Content-Type: image/jpeg\r\nContent-Length: {size}\r\n"
    line: str = "\r\n"
    chunked: bool = False
    preamble: str = ""
    end: str = "\r\n"


LENGTHLESS = "Content-Type: image/jpeg\r\n"
KINDS = {
    "a boundary with dashes, and two more": Kind("multipart/x-mixed-replace; boundary=--frame", "----frame"),
    "a boundary without dashes": Kind(delimiter="frame"),
    "no length nor boundary said": Kind("multipart/x-mixed-replace", part=LENGTHLESS),
    "a length of something else": Kind(part="Content-Type: image/jpeg\r\nContent-Length: 100\r\n"),
    "no type, bare line feeds": Kind(line="\n", end="\n", part="Content-Length: {size}\n"),
    "chunks, and nothing between": Kind("multipart/mixed; boundary=frame", chunked=True, part=LENGTHLESS, end=""),
    "nothing but images": Kind("video/x-motion-jpeg", delimiter="", part="", line="", end=""),
    "words before": Kind(preamble="this is a multipart message\r\n"),
}


@asynccontextmanager
async def server(kind: Kind, picture: bytes) -> AsyncIterator[str]:
    """It writes 25 images a second."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def write(data: bytes) -> None:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data) if kind.chunked and data else data)

        writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            chunked = "Transfer-Encoding: chunked\r\n" if kind.chunked else ""
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind.content_type}\r\n{chunked}\r\n".encode())
            write(kind.preamble.encode())
            while True:
                head = f"{kind.delimiter}{kind.line}{kind.part.format(size=len(picture))}{kind.line}"
                write(head.encode() + picture + kind.end.encode())
                await writer.drain()
                await asyncio.sleep(0.04)

    writers: list[asyncio.StreamWriter] = []
    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/video"
        for writer in writers:
            writer.transport.abort()


@pytest.mark.thorough
@pytest.mark.parametrize("name", KINDS)
async def test_it_plays(name: str, image: bytes) -> None:
    async with server(KINDS[name], image) as url, pulled(url) as camera:
        await sees(camera, 9)
        assert camera.camera.report.state is CameraState.PLAYING
        assert {b"".join(batch.payloads) for batch in camera.of("video")[:8]} == {image}
