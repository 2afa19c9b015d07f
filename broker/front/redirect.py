"""The answer to plain HTTP where there is TLS: the same address by https.

The answer is not to be remembered (307, not 308), nor is https asked for in advance (no ``Strict-Transport-Security``):
the operator may take TLS away again, and has perhaps other services on other ports of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from broker.front.connections import Connection
from broker.front.guard import Guard
from broker.front.problems import problem
from common.errors import RequestError

HTTPS = 443
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d*)?")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def redirecting(guard: Guard, port: int) -> Handler:
    """A handler that leads to ``port`` of the host that was asked."""

    def answer(request: web.BaseRequest) -> web.Response:
        host = request.headers.get(hdrs.HOST, "")
        guard.check_host(host)
        target = https_address(host, request.raw_path, port)
        if target is None or request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            # What was sent, perhaps a password with it, could be read on its way; nobody is to rely on that it works.
            sentence = "This server answers only over https; write https:// instead of http://."
            raise RequestError(403, "https_only", sentence)
        return web.Response(status=307, headers={hdrs.LOCATION: target})

    async def redirect(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.protocol, Connection)
        with request.protocol.in_use():
            try:
                response = answer(request)
            except RequestError as exc:
                response = problem(exc)
            response.force_close()
            return response

    return redirect


def https_address(host: str, path: str, port: int) -> str | None:
    """``path`` at ``port`` of a ``Host`` header's host; ``None`` if that is none, or the path is not one."""
    match = _HOST.fullmatch(host)
    if not match or not path.startswith("/"):
        return None
    return f"https://{match[1]}{'' if port == HTTPS else f':{port}'}{path}"
