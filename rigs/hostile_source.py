"""Hostile sources beside RTSP, in a process of their own: ``python -m rigs.hostile_source`` prints their address.

Each answers by HTTP at a path of its own, and sends without end as fast as the connection takes it:

* ``noise``: packets of MPEG-TS with any numbers and any bytes;
* ``images``: Motion JPEG, of images that are hardly any;
* ``moment``: FLV whose keyframes are all of one moment;
* ``playlist``: a playlist that always names other segments, and many of them, each of which is empty;
* ``ahead``: RTSP inside of HTTP, and behind the answer to GET what nobody has asked for;
* ``post``: the same without that, and an answer to POST that does not end;
* ``rtmp``, which answers by RTMP whoever begins so: messages that are no media, all of which FFmpeg reads in one call.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager

from rigs.hostile_camera import PPS, SPS
from rigs.process import program

LISTED = 5_000  # segments
CHUNK = 64  # packets or pictures that are sent at once


@contextmanager
def hostile_sources() -> Iterator[dict[str, str]]:
    """The URL of each, while they run."""
    with program("rigs.hostile_source") as (address, _pid):
        urls = {kind: ("rtsp+" if path in TUNNELS else "") + address + path for kind, path in PATHS.items()}
        yield {**urls, "rtmp": address.replace("http", "rtmp") + "/live/x"}


def _noise() -> Iterator[bytes]:
    chance = random.Random(7)
    while True:
        yield b"".join(b"\x47" + chance.randbytes(187) for _ in range(CHUNK))


def _images() -> Iterator[bytes]:
    image = b"\xff\xd8\xff\xda\0\2\xff\xd9"
    while True:
        yield b"--x\r\nContent-Type: image/jpeg\r\n\r\n".join([image + b"\r\n"] * CHUNK)


def _tag(body: bytes) -> bytes:
    """A tag of FLV with a picture of the moment 0 (Adobe's FLV specification, E.4)."""
    size = len(body).to_bytes(3)
    return b"\x09" + size + bytes(7) + body + (11 + len(body)).to_bytes(4)


def _moment() -> Iterator[bytes]:
    config = b"\1" + SPS[1:4] + b"\xff\xe1" + len(SPS).to_bytes(2) + SPS + b"\1" + len(PPS).to_bytes(2) + PPS
    yield b"FLV\1\1\0\0\0\x09" + bytes(4) + _tag(b"\x17\0\0\0\0" + config)
    for number in itertools.count():
        slice_ = b"\x65\x88" + bytes((number % 250 + 1,)) * 5_000
        yield _tag(b"\x17\1\0\0\0" + len(slice_).to_bytes(4) + slice_) * CHUNK


def _playlist(number: int) -> bytes:
    names = "".join(f"#EXTINF:0.01,\ns{number}-{at}.ts\n" for at in range(LISTED))
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{number * LISTED}\n{names}".encode()


PATHS = {
    "noise": "/noise",
    "images": "/images",
    "moment": "/moment.flv",
    "playlist": "/index.m3u8",
    "ahead": "/ahead",
    "post": "/post",
}
TYPES = {"/noise": "video/mp2t", "/images": "multipart/x-mixed-replace;boundary=x", "/moment.flv": "video/x-flv"}
BODIES = {"/noise": _noise, "/images": _images, "/moment.flv": _moment}
TUNNELS = {"/ahead", "/post"}
RTMP = b"\x02\0\0\0\0\0\6\4\0\0\0\0\0\6" + bytes(4)  # a ping in a chunk (Adobe's RTMP specification, 7.1.7)
ASKED = itertools.count()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        first = await reader.readexactly(1)
        if first == b"\3":
            await _serve_rtmp(reader, writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path = (first.decode() + head).split(" ")[:2]
        if path in TUNNELS:
            writer.write(b"HTTP/1.0 200 OK\r\n" + (b"\r\n" if method == "GET" else b""))
            while method == "POST" or path == "/ahead":
                writer.write(b"RTSP/1.0 200 OK\r\nX: " + b"a" * 100_000)
                await writer.drain()
            await reader.read()
            return
        if path in BODIES:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {TYPES[path]}\r\n\r\n".encode())
            for data in BODIES[path]():
                writer.write(data)
                await writer.drain()
        body = _playlist(next(ASKED)) if path == PATHS["playlist"] else b""
        kind = "application/x-mpegurl" if body else "video/mp2t"
        length = f"Content-Length: {len(body)}\r\nConnection: close"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode() + body)
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _serve_rtmp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Shake hands (5.2), and say what FFmpeg takes no media from, without end."""
    begun = await reader.readexactly(1_536)
    writer.write(b"\3" + bytes(1_536) + begun)
    await reader.readexactly(1_536)
    while True:
        writer.write(RTMP * CHUNK * 64)
        await writer.drain()


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
