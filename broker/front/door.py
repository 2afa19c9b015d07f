"""The front door as one application: what every request passes, and where it goes."""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from broker.front import account, api, hub, metrics, pages, rights, signalling, stills, whep, whep_events
from broker.front.connections import Connection
from broker.front.context import CONTEXT, Context
from broker.front.gate import Right, admit, described, note, principal_of
from broker.front.peer import BASE_PATH, PROXIES, Proxies, address_of, host_of, is_secure
from broker.front.problems import problems
from broker.front.refusals import told_by_socket
from broker.front.routes import CHANGING, PAGES, Need, add_routes, need_of
from common.errors import RequestError
from common.log import get_logger

log = get_logger()

# Where a browser puts a page beside its own window (Fetch Metadata, Sec-Fetch-Dest).
_FRAMES = {"iframe", "frame", "embed", "object"}
_FRAMED = (
    "Nobody can sign in inside another page: sign in at this server's own address first, if that page is of the "
    "same site, or add ?token=TOKEN to the address of the frame (camshaft token new NAME makes one)."
)


def application(context: Context) -> web.Application:
    """All routes, and what every request passes on its way."""
    app = web.Application(middlewares=[_watched, problems, told_by_socket, _guard])
    app[CONTEXT] = context
    app[PROXIES] = Proxies(context.proxies)
    app[BASE_PATH] = context.base_path
    for module in (hub, account, api, pages, rights, signalling, stills, whep, whep_events, metrics):
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
    right, need = need_of(request)
    try:
        _check_page(request, need)
        await admit(request, right)
    except RequestError as exc:
        note(request, exc)
        if exc.code == "not_signed_in" and request.match_info.handler in PAGES:
            if request.headers.get("Sec-Fetch-Dest", "document") in _FRAMES:
                raise RequestError(401, exc.code, _FRAMED) from None
            return pages.to_sign_in(request)
        raise
    response = await handler(request)
    if right in (Right.ADMIN, Right.SIGNED_IN) and request.method in CHANGING:
        log.info(
            "changed by request",
            who=principal_of(request).label,
            address=address_of(request),
            request=described(request),
            status=response.status,
        )
    return response


def _check_page(request: web.Request, need: Need) -> None:
    guard = request.app[CONTEXT].guard
    guard.check_host(request.headers.get(hdrs.HOST))  # and not what a proxy says: a page could say that as well
    if need is Need.OUR_PAGE:
        guard.check_origin(request.headers.get(hdrs.ORIGIN), host_of(request), secure=is_secure(request))


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")  # errors, too: a 404 is kept unless one says so
    response.headers.pop(hdrs.SERVER, None)  # which version of what answers is nobody's business


async def _release_waiting(app: web.Application) -> None:
    app[CONTEXT].control.stop()
