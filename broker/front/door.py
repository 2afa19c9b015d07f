"""The front door as one application: what every request passes, and where it goes."""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from broker.front import api, pages, signalling, stills, whep
from broker.front.connections import Connection
from broker.front.context import CONTEXT, Context
from broker.front.problems import MAX_BODY, problems
from broker.front.routes import Need, add_routes, need_of


def application(context: Context) -> web.Application:
    """All routes, and what every request passes on its way."""
    app = web.Application(middlewares=[_watched, problems, _guard], client_max_size=MAX_BODY)
    app[CONTEXT] = context
    for module in (api, pages, signalling, stills, whep):
        module.prepare(app)
    add_routes(app)
    app.on_response_prepare.append(_harden)
    app.on_shutdown.append(_release_waiting)
    return app


@web.middleware
async def _watched(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection that it is of use: those that are not are closed."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        return await handler(request)
    with connection.in_use():
        return await handler(request)


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    guard = request.app[CONTEXT].guard
    host = request.headers.get(hdrs.HOST)
    guard.check_host(host)
    if need_of(request) is Need.OUR_PAGE:
        guard.check_origin(request.headers.get(hdrs.ORIGIN), host)
    return await handler(request)


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers.pop(hdrs.SERVER, None)  # which version of what answers is nobody's business


async def _release_waiting(app: web.Application) -> None:
    app[CONTEXT].control.stop()
