"""Cameras as server-sent events (HTML, section 9.2): for scripts and dashboards that only listen.

``GET /api/events`` begins with ``cameras``, and goes on with ``camera`` and ``removed``: the same JSON objects, with
the same ``type``, that the WebSocket has. Whoever does not read what is sent is cut off, as there.
"""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from broker.access.principal import Principal
from broker.front.backlog import Outgoing
from broker.front.context import CONTEXT
from broker.front.event_stream import HEADERS, write_events
from broker.front.gate import principal_of
from broker.front.hub import HUB
from broker.front.offers import check_socket
from broker.front.peer import address_of
from common.cameras import CameraName


class EventStream:
    """One listener's stream of events."""

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
        self._outgoing.push(f"data: {message}\n\n")

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
        await write_events(request, response, outgoing, stream.over)
    finally:
        hub.listeners.discard(stream)
        outgoing.close()
        context.quotas.sockets.close(address)
    return response
