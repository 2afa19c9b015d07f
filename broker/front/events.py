"""Cameras as server-sent events (HTML, section 9.2): for scripts and dashboards that only listen.

``GET /api/events`` begins with ``cameras``, and goes on with ``camera`` and ``removed``: the same JSON objects, with
the same ``type``, that the WebSocket has. Whoever does not read what is sent is cut off, as there.
"""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import hdrs, web

from broker.access.principal import Principal
from broker.front.backlog import Outgoing
from broker.front.context import CONTEXT
from broker.front.gate import principal_of
from broker.front.hub import HUB
from broker.front.offers import check_socket
from broker.front.peer import address_of
from common.cameras import CameraName

LOOK = 1.0  # seconds between looks whether somebody listens
BEAT = 15.0  # seconds between comments: proxies cut what is silent for a minute
HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events for later
}


class EventStream:
    """One who listens."""

    subscribed = True

    def __init__(self, principal: Principal, outgoing: Outgoing) -> None:
        self.principal = principal
        self.over = asyncio.Event()
        self._outgoing = outgoing

    def watches(self, camera: CameraName) -> bool:
        """Whether it may hear of this camera."""
        return self.principal.may_watch(camera)

    def push(self, message: str) -> None:
        """Send an encoded message without waiting."""
        self._outgoing.push(message)

    async def leave(self, code: int, reason: str) -> None:  # the protocol's
        """End the stream; the browser asks anew by itself."""
        self.over.set()


async def events(request: web.Request) -> web.StreamResponse:
    """Tell of cameras until whoever asks goes. Raises ``RequestError`` for one too many."""
    context, hub = request.app[CONTEXT], request.app[HUB]
    address = context.quotas.address(address_of(request))
    response = web.StreamResponse(headers=HEADERS)
    if request.method == hdrs.METH_HEAD:
        return response
    check_socket(context, address)
    outgoing = Outgoing(hub.backlog, context, request.transport)
    stream = EventStream(principal_of(request), outgoing)
    context.quotas.sockets.open(address)
    try:
        await response.prepare(request)
        hub.listeners.add(stream)
        stream.push(hub.list_for(stream.principal))
        await _write(request, response, outgoing, stream)
    finally:
        hub.listeners.discard(stream)
        outgoing.close()
        context.quotas.sockets.close(address)
    return response


async def _write(request: web.Request, response: web.StreamResponse, outgoing: Outgoing, stream: EventStream) -> None:
    """Send what comes until the stream is over, or whoever listens has gone."""

    async def send(message: str) -> None:
        await response.write(f"data: {message}\n\n".encode())

    async def beat() -> None:
        looks = 0
        with contextlib.suppress(ConnectionError):
            while request.transport is not None:  # aiohttp tells nobody else that the connection is gone
                await asyncio.sleep(LOOK)
                looks += 1
                if looks * LOOK >= BEAT:
                    looks = 0
                    await response.write(b":\n\n")
        stream.over.set()

    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(outgoing.write(send)), tasks.create_task(beat())]
        await stream.over.wait()
        for task in working:
            task.cancel()
