"""Looks whether anybody is at a source's address before a process is made to read it.

A process takes a quarter of a second of a core to begin. A hundred sources that are off would take two cores as they
are tried again and again, and a living one would wait behind them. A connection that is refused costs nothing.

A web server is asked whether it has what is wanted (HEAD, RFC 9110 9.3.2), which opens no session of a camera's. A no
is not the last word, as some know no such question; but who says so waits behind those who do not.
"""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress

from common.cameras import CameraSpec
from ingest.rtsp.connect import reach
from ingest.rtsp.networks import Networks
from ingest.sources.url import SourceUrl

ANSWER_TIMEOUT = 1.0  # seconds for the status of an answer
_OVER_TCP = frozenset({"http", "https", "rtmp", "rtmps"})
_MISSING = re.compile(rb"HTTP/1\.[01] (404|410|5(?!01)\d\d) ")  # 501: it knows no HEAD


async def knock_at(spec: CameraSpec) -> bool:
    """Ask for a source: ``False`` where the answer is that there is none. What cannot be told so passes.

    Raises ``CameraError`` where nobody answers.
    """
    if spec.scheme not in _OVER_TCP:
        return True
    try:
        url = SourceUrl.parse(spec.url)
    except ValueError:  # the process says it
        return True
    with await reach(url.host, url.port, Networks(spec.networks)) as sock:
        return url.scheme != "http" or not _MISSING.match(await _status(sock, url))


async def _status(sock: socket.socket, url: SourceUrl) -> bytes:
    """The beginning of the answer's status line; less where it does not come."""
    loop = asyncio.get_running_loop()
    head = f"HEAD {url.request_target} HTTP/1.1\r\nHost: {url.authority}\r\nConnection: close\r\n\r\n"
    found = b""
    with suppress(OSError):  # TimeoutError among them
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await loop.sock_sendall(sock, head.encode())
            while len(found) < len("HTTP/1.1 404 ") and (piece := await loop.sock_recv(sock, 16)):
                found += piece
    return found
