"""Server-sent events (HTML, section 9.2): how a stream of them is kept up, whatever it tells of."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import hdrs, web

from broker.front.backlog import Outgoing
from broker.front.connections import Connection

LOOK = 1.0  # seconds between looks whether somebody listens
BEAT = 15.0  # seconds between comments: proxies cut what is silent for a minute
BLANK = b":\n\n"  # a comment, which no reader minds
HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store, no-transform",  # what a CDN compresses it keeps for later
    "X-Accel-Buffering": "no",  # nginx would keep events for later
}


async def write_events(
    request: web.Request,
    response: web.StreamResponse,
    outgoing: Outgoing,
    over: asyncio.Event,
    lasts: Callable[[], bool] = lambda: True,
) -> None:
    """Send events as they come until the stream is ``over``, what it tells of is, or whoever listens has gone."""

    async def send(event: str) -> None:
        await response.write(event.encode())

    async def beat() -> None:
        looks = 0
        with contextlib.suppress(ConnectionError):
            while request.transport is not None and lasts():
                await asyncio.sleep(LOOK)
                looks += 1
                if looks * LOOK >= BEAT:
                    looks = 0
                    await response.write(BLANK)
        over.set()

    assert isinstance(request.protocol, Connection), "the front door makes no others"
    request.protocol.when_lost(over.set)  # who leaves and comes again may not have a thousand of them
    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(outgoing.write(send)), tasks.create_task(beat())]
        await over.wait()
        for task in working:
            task.cancel()
