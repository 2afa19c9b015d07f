"""Many at the front door who ask for what has no end, in a process of their own: ``async with readers(...) as task``.

``python -m rigs.readers URL CAMERA KIND SECONDS`` does so for that long and prints, as JSON, how often each status was
the answer. A kind is a place and a manner. Places: ``mse``, a picture by WebSocket; ``events``, the cameras as
server-sent events. Manners: ``still``, which reads nothing; ``again``, which leaves once it has an answer; ``talk``,
which sends as much as is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections import Counter
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from common.process import raise_file_limit
from rigs.counted import counted
from rigs.handshake import REQUEST

AT_ONCE = {"still": 300, "again": 16, "talk": 16}  # connections
ROOM = 4_096  # bytes that the kernel takes for one that does not read
EVENTS = "GET /api/events HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n"
_MASK = bytes(4)
_FRAMES = (  # of a WebSocket: "restart", a ping, a text in two pieces, a large message
    b"\x81\x87" + _MASK + b"restart",
    b"\x89\xfd" + _MASK + bytes(125),
    b"\x01\x81" + _MASK + b"x" + b"\x80\x81" + _MASK + b"y",
    b"\x82\xfe\x03\xe8" + _MASK + bytes(1_000),
)


def readers(
    url: str, camera: str, kind: str, seconds: float
) -> AbstractAsyncContextManager[asyncio.Task[Counter[int]]]:
    """Have them at work; the task ends with their answers by status, 0 where there was none."""
    return counted("rigs.readers", url, camera, kind, str(seconds))


async def _ask(where: tuple[str, int], request: bytes) -> tuple[socket.socket, int]:
    """A connection on which that was asked, and the status of the answer; 0 if there is none."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    sock.setblocking(False)
    await loop.sock_connect(sock, where)
    await loop.sock_sendall(sock, request)
    head = await loop.sock_recv(sock, 12)
    return sock, int(head[9:12] or b"0")


async def _talk(sock: socket.socket, place: str, request: bytes) -> None:
    """Say the same over and over, and read what comes, until the connection ends."""
    loop = asyncio.get_running_loop()

    async def read() -> None:
        while await loop.sock_recv(sock, 1 << 16):
            pass

    reading = asyncio.create_task(read())
    try:
        while not reading.done():
            await loop.sock_sendall(sock, b"".join(_FRAMES) if place == "mse" else request * 20)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _one(where: tuple[str, int], place: str, manner: str, request: bytes, answers: Counter[int]) -> None:
    while True:
        sock = None
        status = 0
        try:
            sock, status = await _ask(where, request)
            answers[status] += 1
            if manner == "still" and status < 400:
                await asyncio.Event().wait()
            elif manner == "talk" and status < 400:
                await _talk(sock, place, request)
        except OSError:
            answers[0] += not status
        finally:
            if sock is not None:
                sock.close()
        if status >= 400:
            await asyncio.sleep(0.01)


async def main(url: str, camera: str, kind: str, seconds: float) -> None:
    """Do it for so long, and print the answers."""
    raise_file_limit()
    os.nice(5)
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    place, _, manner = kind.partition("-")
    request = (REQUEST if place == "mse" else EVENTS).format(camera=camera, host=address.netloc).encode()
    answers = Counter[int]()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE[manner]):
                tasks.create_task(_one((address.hostname, address.port), place, manner, request, answers))
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
