"""Requests that ask for a WebSocket (RFC 6455 4.2.1)."""

from __future__ import annotations

from aiohttp import web

from common.errors import RequestError


def check_upgrade(request: web.Request, response: web.WebSocketResponse) -> None:
    """Raises ``RequestError`` for a request whose handshake ``response`` could not answer."""
    try:
        possible = bool(response.can_prepare(request))
    except ValueError:  # of a Sec-WebSocket-Key that is no Base64, and of other letters than ASCII
        possible = False
    if not possible:
        raise RequestError(426, "upgrade_required", "This address speaks WebSocket only.")
