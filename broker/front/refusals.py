"""Refusals of a WebSocket that a page asked for, said by that WebSocket.

No page is told by its browser with which status a handshake was refused, nor why. So one that a page asks for (it has
an ``Origin``) is answered, told in a message, and closed: ``{"type": "error", "code", "message"}``, and the close code
4000 and the status. A program is refused before the handshake, as everywhere else.
"""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from broker.front import mse
from broker.front.upgrade import can_upgrade
from common.errors import RequestError

PRIVATE_CODES = 4_000  # RFC 6455 7.4.2: close codes from here on are an application's own
FAREWELL_TIMEOUT = 1.0  # seconds for the page's farewell: who was refused keeps no connection …
LARGEST = 256  # bytes of a message that is read until then, and none is inflated: anybody may be refused


@web.middleware
async def told_by_socket(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell a page why its WebSocket is refused, where that carries media."""
    try:
        return await handler(request)
    except RequestError as exc:
        response = web.WebSocketResponse(timeout=FAREWELL_TIMEOUT, max_msg_size=LARGEST, compress=False)
        of_page = request.match_info.handler is mse.watch and hdrs.ORIGIN in request.headers
        if not of_page or not can_upgrade(request, response):
            raise
        await response.prepare(request)
        await response.send_json({"type": "error", "code": exc.code, "message": exc.message})
        await response.close(code=PRIVATE_CODES + exc.status, message=exc.code.encode())
        return response
