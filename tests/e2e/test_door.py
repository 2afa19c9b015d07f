"""Strangers at the front door beside a viewer: pages that do not read, connections that are of no use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import psutil
import pytest

from common.process import raise_file_limit
from rigs.browser import Browser, video_section
from rigs.bystander import unharmed, watching
from rigs.clip import SMALL
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.timeout(240)]

DEBIAN = 1_024  # files that a process may have open unless it asks for more
SHOUTS = 8.0  # seconds in which a page says all that it can, unless it is cut off before


@pytest.fixture
def few_files() -> Iterator[None]:
    """Debian's soft limit holds for what is started within; the test itself needs more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DEBIAN, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def connections(running: Cluster, number: int, start: bytes = b"") -> Iterator[list[socket.socket]]:
    """Bare TCP connections that have sent ``start`` and no more."""
    host, port = running.url.removeprefix("http://").rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(number):
            found.append(stack.enter_context(socket.create_connection((host, int(port)), 10.0)))
            found[-1].sendall(start)
            found[-1].setblocking(False)
        yield found


async def closed(connection: socket.socket) -> None:
    """Wait until the server closes it."""
    with contextlib.suppress(ConnectionError):
        while await asyncio.get_running_loop().sock_recv(connection, 4_096):
            pass


def broker_memory(running: Cluster) -> int:
    return int(psutil.Process(running.pids()["broker"][0]).memory_info().rss)


@pytest.mark.quiet
async def test_a_viewer_joins_beside_connections_that_are_of_no_use(
    few_files: None, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await cluster({"front-door": gst_camera(SMALL).url})
    raise_file_limit()
    async with unharmed(running, "front-door"):
        for start in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "):  # idle, and half a head
            with connections(running, 1_100, start) as idle:
                async with watching(running.whep("front-door")) as late:
                    await asyncio.sleep(1.0)
                    assert (await late.seen()).frames, start
                async with asyncio.timeout(60.0):  # and they do not stay
                    await asyncio.gather(*map(closed, idle))


@pytest.mark.quiet
async def test_pages_that_do_not_read_are_cut_off(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await cluster({"front-door": gst_camera(SMALL).url})
    offer = Browser().offer(video_section())
    before = most = broker_memory(running)
    async with unharmed(running, "front-door"), aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(http.ws_connect(running.websocket)) for _ in range(10)]
        messages = [
            {"type": "candidate", "session": "x" * 60_000, "candidate": ""},
            {"type": "offer", "camera": "x" * 60_000, "sdp": "v=0", "id": "x" * 256},
            {"type": "offer", "camera": "front-door", "sdp": offer},
            {"type": "subscribe"},
        ]

        async def shout(page: aiohttp.ClientWebSocketResponse) -> None:
            with contextlib.suppress(ConnectionError, aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(SHOUTS):
                    for _ in range(500):
                        for message in messages:
                            await page.send_str(json.dumps(message))

        shouting = asyncio.gather(*map(shout, pages))
        while not shouting.done():
            await asyncio.wait([shouting], timeout=0.5)
            most = max(most, broker_memory(running))
        for page in pages:
            if (connection := page.get_extra_info("socket")) is not None:
                with contextlib.suppress(OSError):  # it is cut off already
                    connection.shutdown(socket.SHUT_RDWR)
    print(f"broker: {before >> 20} MB, at most {most >> 20} MB")
    assert most - before < 80 << 20
