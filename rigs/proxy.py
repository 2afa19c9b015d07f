"""A reverse proxy that leaves out what people forget to pass on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

HOP_BY_HOP = {"connection", "upgrade", "keep-alive", "transfer-encoding", "content-length", "content-encoding"}


@asynccontextmanager
async def proxy(
    upstream: str,
    *,
    keeps_host: bool = True,
    upgrades: bool = True,
    swallows: bool = False,
    below: str = "/",
    takes: Collection[str] = (),
    instead: Callable[[str], web.Response | None] = lambda _path: None,
) -> AsyncIterator[str]:
    """Pass requests on to ``upstream`` (which ends in a slash), from ``below`` on. Yields the proxy's own address.

    ``keeps_host``: the upstream sees the browser's Host header; ``upgrades``: it sees WebSockets as such, unless the
    proxy ``swallows`` what they carry. ``takes``: headers of answers that the browser does not see, in small letters.
    ``instead`` gives the proxy's own answer to what is asked for at a path, or ``None``.
    """
    async with aiohttp.ClientSession(upstream, auto_decompress=False) as session:

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if not request.path.startswith(below):
                raise web.HTTPNotFound
            path = request.path_qs.removeprefix(below)
            if (own := instead(path)) is not None:
                return own
            headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
            if not keeps_host:
                del headers["Host"]
            if upgrades and request.headers.get("Upgrade", "").lower() == "websocket":
                if swallows:
                    return await _swallow_socket(request)
                return await _carry_socket(request, session, path, headers)
            body = await request.read()
            async with session.request(request.method, path, headers=headers, data=body) as answer:
                left_out = HOP_BY_HOP.union(takes)
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in left_out}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())

        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}{below}"
        finally:
            await runner.cleanup()


async def _swallow_socket(request: web.BaseRequest) -> web.StreamResponse:
    browser = web.WebSocketResponse()
    await browser.prepare(request)
    async for _ in browser:
        pass
    return browser


async def _carry_socket(
    request: web.BaseRequest, session: aiohttp.ClientSession, path: str, headers: dict[str, str]
) -> web.StreamResponse:
    wanted = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket")}
    try:
        server = await session.ws_connect(path, headers=wanted)
    except aiohttp.WSServerHandshakeError as refused:
        return web.Response(status=refused.status)
    browser = web.WebSocketResponse()
    await browser.prepare(request)

    async def copy(
        source: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
        target: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
    ) -> None:
        async for message in source:
            await target.send_str(message.data)
        await target.close()

    with contextlib.suppress(ConnectionError):
        await asyncio.gather(copy(server, browser), copy(browser, server))
    return browser
