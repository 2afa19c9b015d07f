"""Listens for the front door, by plain HTTP or by TLS, and serves what comes in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from aiohttp import web

from broker.front.arrivals import BACKLOG, Arrivals
from broker.front.certificate import Certificate
from broker.front.connections import Connection, Connections, Guest
from broker.front.context import Context
from broker.front.redirect import redirecting
from common.config_limits import LimitsConfig

LINGER = 1.0  # seconds for which the rest of a body is read that nobody wants
SPARE_FILES = 128  # descriptors that are kept from connections: bus, store, libraries
_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "lingering_time": LINGER,
    "max_headers": 128,
    "auto_decompress": False,  # 48 kB become 50 MB, in 170 ms of everybody's time: see ``bodies``
}


@contextlib.asynccontextmanager
async def serving(
    app: web.Application,
    context: Context,
    listeners: Sequence[socket.socket],
    patience: float,
    *,
    certificate: Certificate | None = None,
    redirected: Sequence[socket.socket] = (),
) -> AsyncIterator[None]:
    """Serve ``app`` on ``listeners`` until left; requests that are being answered then have ``patience`` seconds.

    With a certificate, by TLS; plain requests, there and at the listeners of ``redirected``, are led to it.
    """
    runner = web.AppRunner(app, shutdown_timeout=patience, **_OPTIONS)
    await runner.setup()
    assert runner.server is not None
    connections = Connections(context)
    port = listeners[0].getsockname()[1]
    redirect = web.ServerRunner(web.Server(redirecting(context.guard, port)), shutdown_timeout=patience)
    await redirect.setup()
    loop = asyncio.get_running_loop()

    def to(server: web.Server | None, arrival: Guest | None = None) -> Connection:
        assert server is not None
        return Connection(connections, server, loop, arrival, **_OPTIONS, **_limited(context.quotas.limits))

    async with contextlib.AsyncExitStack() as stack:
        if certificate is not None:
            arrivals = Arrivals(
                connections,
                certificate,
                context,
                encrypted=lambda arrival: to(runner.server, arrival),
                plain=lambda arrival: to(redirect.server, arrival),
            )
            stack.push_async_callback(arrivals.close)
        stack.push_async_callback(connections.close, patience)
        stack.push_async_callback(redirect.cleanup)
        stack.push_async_callback(runner.cleanup)
        for listener in listeners:
            if certificate is None:
                await _accept(stack, lambda: to(runner.server), listener)
            else:
                stack.enter_context(arrivals.accepting(listener))
        for listener in redirected:
            await _accept(stack, lambda: to(redirect.server), listener)
        yield


def _limited(limits: LimitsConfig) -> dict[str, Any]:
    """The options of a connection that an operator may set; those that are open keep what they began with."""
    return {
        "keepalive_timeout": float(limits.idle_timeout),
        "max_line_size": limits.head_bytes,
        "max_field_size": limits.head_bytes,
    }


async def _accept(stack: contextlib.AsyncExitStack, make: Callable[[], Connection], listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(make, sock=listener, backlog=BACKLOG)
    stack.callback(server.close)
