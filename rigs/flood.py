"""One stranger who sends as much as it can of one kind, in a process of its own: ``async with flood(...) as task``.

``python -m rigs.flood URL KIND NUMBER`` sends so many and prints, as JSON, how often each status was the answer. It is
at one address, as a reverse proxy that is believed would say. Kinds: wrong ``passwords`` and ``tokens``; ``offers``
and ``sockets`` by a token that may watch the camera yard; ``heads`` of requests that never end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from common.process import raise_file_limit
from rigs.browser import Browser, audio_section, video_section
from rigs.counted import counted

ADDRESS = "198.51.100.1"
AT_ONCE = {"passwords": 16, "tokens": 16, "offers": 16, "sockets": 100, "heads": 500}  # connections
HELD = 0.3  # seconds for which a socket or half a head stays where nobody closes it
TOKEN = "t-wall"  # may watch the camera yard
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

Ask = Callable[[int], bytes]


def flood(url: str, kind: str, number: int) -> AbstractAsyncContextManager[asyncio.Task[Counter[int]]]:
    """The flood under way; the task ends with its answers by status, 0 where there was none."""
    return counted("rigs.flood", url, kind, str(number))


def _request(method: str, path: str, *headers: str, body: str = "") -> bytes:
    head = (f"{method} {path} HTTP/1.1", "Host: localhost", f"X-Forwarded-For: {ADDRESS}", *headers)
    return "\r\n".join((*head, f"Content-Length: {len(body)}", "", body)).encode()


def password(number: int) -> bytes:
    """A wrong password, of somebody or nobody."""
    form = {"user": "anna" if number % 2 else f"user-{number}", "password": f"guess {number}"}
    return _request("POST", "/api/login", "Content-Type: application/json", body=json.dumps(form))


def token(number: int) -> bytes:
    """A wrong token."""
    return _request("GET", "/api/cameras", f"Authorization: Bearer guess-{number}")


def offer(_number: int) -> bytes:
    """An offer as a browser makes it, which is answered and never heard of again."""
    sdp = Browser().offer(video_section(), audio_section())
    return _request("POST", f"/whep/yard?token={TOKEN}", "Content-Type: application/sdp", body=sdp)


def socket(_number: int) -> bytes:
    """The handshake of a WebSocket."""
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    return _request("GET", f"/ws?token={TOKEN}", *upgrade, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")


async def _asking(where: tuple[str, int], numbers: Iterator[int], ask: Ask, answers: Counter[int]) -> None:
    """One request after the other, by one connection for as long as it lasts."""
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    for number in numbers:
        try:
            streams = streams or await asyncio.open_connection(*where)
            streams[1].write(ask(number))
            head = await streams[0].readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await streams[0].readexactly(int(length[1]) if length else 0)
            answers[int(head[9:12])] += 1
        except (OSError, asyncio.IncompleteReadError):
            answers[0] += 1
            streams = None
    if streams is not None:
        streams[1].close()


async def _holding(where: tuple[str, int], numbers: Iterator[int], ask: Ask, answers: Counter[int]) -> None:
    """A connection for each, held until it is closed or its time is over."""
    for number in numbers:
        status = 0
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(*where)
            writer.write(ask(number))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELD):
                    status = int((await reader.read(1 << 16))[9:12] or b"0")
                    await reader.read()
            writer.transport.abort()
        answers[status] += 1


async def main(url: str, kind: str, number: int) -> None:
    """Send them and print how they were answered."""
    raise_file_limit()
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    where, numbers, answers = (address.hostname, address.port), iter(range(number)), Counter[int]()
    asks: dict[str, Ask] = {"passwords": password, "tokens": token, "offers": offer, "sockets": socket}
    asks["heads"] = lambda number: token(number)[:40]
    send = _holding if kind in ("sockets", "heads") else _asking
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE[kind]):
            tasks.create_task(send(where, numbers, asks[kind], answers))
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
