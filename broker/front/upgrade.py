"""Requests that ask for a WebSocket (RFC 6455 4.2.1)."""

from __future__ import annotations

from aiohttp import hdrs, web

from common.errors import RequestError


def can_upgrade(request: web.Request, response: web.WebSocketResponse) -> bool:
    """Whether ``response`` could answer the request's handshake."""
    if request.method != hdrs.METH_GET:  # a HEAD is led as the GET is
        return False
    try:
        return bool(response.can_prepare(request))
    except ValueError:  # of a Sec-WebSocket-Key that is no Base64, and of other letters than ASCII
        return False


def check_upgrade(request: web.Request, response: web.WebSocketResponse) -> None:
    """Raises ``RequestError`` for a request whose handshake ``response`` could not answer."""
    if not can_upgrade(request, response):
        raise RequestError(426, "upgrade_required", "This address speaks WebSocket only.")
