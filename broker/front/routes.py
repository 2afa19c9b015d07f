"""Every address of the front door: its handler, and what it needs of a request. One table, which requests are led by.

What a route needs is declared here and nowhere else: the right that whoever asks must have, and whether it must ask
from a page of ours. The door has guard and gate look at both before the handler is called. What no route leads to is
refused as what would change something is, except below WHEP's path, which every page may know.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from itertools import product

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from broker.front import (
    account,
    api,
    events,
    health,
    metrics,
    mse,
    pages,
    sign_on,
    signalling,
    stills,
    whep,
    whep_events,
    why,
)
from broker.front.gate import Right
from broker.front.peer import BASE_PATH, path_of


class Need(Enum):
    """The conditions that a route makes of a request."""

    NOTHING = auto()  # beside a Host header that is ours, which every request needs
    OUR_PAGE = auto()  # it comes from a page of ours, or from no page


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    right: Right
    need: Need = Need.NOTHING


ROUTES = (
    Route("GET", "/", pages.index, Right.SIGNED_IN),
    Route("GET", "/sign-in", pages.sign_in, Right.ANYBODY),
    Route("GET", "/account", pages.account, Right.SIGNED_IN),
    Route("GET", "/watch/{camera}", pages.watch, Right.CAMERA),
    Route("GET", "/static/{name}", pages.static, Right.ANYBODY),
    Route("GET", "/api/cameras", api.list_cameras, Right.SIGNED_IN),
    Route("POST", "/api/cameras", api.add_camera, Right.ADMIN, Need.OUR_PAGE),
    Route("GET", "/api/cameras/{id}", api.show_camera, Right.CAMERA),
    Route("PATCH", "/api/cameras/{id}", api.change_camera, Right.ADMIN, Need.OUR_PAGE),
    Route("DELETE", "/api/cameras/{id}", api.remove_camera, Right.ADMIN, Need.OUR_PAGE),
    Route("GET", "/api/cameras/{id}/snapshot.jpg", stills.snapshot, Right.CAMERA),
    Route("GET", "/api/viewers", api.list_viewers, Right.ADMIN),
    Route("GET", "/api/viewers/{session}", api.show_session, Right.SESSION),
    Route("DELETE", "/api/viewers/{session}", api.close_viewer, Right.ADMIN, Need.OUR_PAGE),
    Route("GET", "/api/why", why.all_without_picture, Right.ADMIN),
    Route("GET", "/api/why/{session}", why.why, Right.ADMIN),
    Route("GET", "/api/nodes", api.list_nodes, Right.ADMIN),
    Route("POST", "/api/nodes/{node}/drain", api.drain_node, Right.ADMIN, Need.OUR_PAGE),
    Route("POST", "/api/nodes/rebalance", api.even_out, Right.ADMIN, Need.OUR_PAGE),
    Route("GET", "/api/arrival", api.arrival, Right.ANYBODY),
    Route("GET", "/sign-in/start", sign_on.start, Right.ANYBODY),
    Route("GET", "/sign-in/callback", sign_on.callback, Right.ANYBODY),
    Route("GET", "/api/login", account.ways, Right.ANYBODY),
    Route("POST", "/api/login", account.sign_in, Right.ANYBODY, Need.OUR_PAGE),
    Route("DELETE", "/api/login", account.sign_out, Right.ANYBODY, Need.OUR_PAGE),
    Route("POST", "/api/first-admin", account.make_first_admin, Right.ANYBODY, Need.OUR_PAGE),
    Route("GET", "/api/me", account.me, Right.SIGNED_IN),
    Route("PUT", "/api/me/password", account.change_password, Right.SIGNED_IN, Need.OUR_PAGE),
    Route("GET", "/api/users", account.list_users, Right.ADMIN),
    Route("POST", "/api/users", account.add_user, Right.ADMIN, Need.OUR_PAGE),
    Route("PATCH", "/api/users/{user}", account.change_user, Right.ADMIN, Need.OUR_PAGE),
    Route("DELETE", "/api/users/{user}", account.remove_user, Right.ADMIN, Need.OUR_PAGE),
    Route("GET", "/api/events", events.events, Right.SIGNED_IN),
    Route("GET", "/api/docs", pages.docs, Right.SIGNED_IN),
    Route("GET", "/api/openapi.json", api.openapi, Right.SIGNED_IN),
    Route("POST", "/whep/{camera}", whep.offer, Right.CAMERA),
    Route("OPTIONS", "/whep/{camera}", whep.endpoint_options, Right.ANYBODY),
    Route("POST", "/whep/{camera}/{session}/events", whep_events.subscribe, Right.OWNER),
    Route("GET", "/whep/{camera}/{session}/events", whep_events.events, Right.OWNER),
    Route("DELETE", "/whep/{camera}/{session}/events", whep_events.unsubscribe, Right.OWNER),
    Route("OPTIONS", "/whep/{camera}/{session}/events", whep.session_options, Right.ANYBODY),
    Route("PATCH", "/whep/{camera}/{session}", whep.patch, Right.OWNER),
    Route("DELETE", "/whep/{camera}/{session}", whep.leave, Right.OWNER),
    Route("OPTIONS", "/whep/{camera}/{session}", whep.session_options, Right.ANYBODY),
    Route("GET", "/mse/{camera}", mse.watch, Right.CAMERA),
    Route("GET", "/ws", signalling.connect, Right.SIGNED_IN, Need.OUR_PAGE),
    Route("GET", "/healthz", health.alive, Right.ANYBODY),
    Route("GET", "/readyz", health.ready, Right.ANYBODY),
    Route("GET", "/metrics", metrics.metrics, Right.MONITOR),
)

CHANGING = frozenset({hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE})
WHEP = "/whep/"
PAGES = frozenset(
    {pages.index, pages.watch, pages.account, pages.docs}
)  # that a browser without a right is sent away from
NEEDS = web.AppKey("needs", dict[web.AbstractRoute, tuple[Right, Need]])


def add_routes(app: web.Application) -> None:
    """Lead the application's requests by the table. A HEAD is answered as the GET would be."""
    app[NEEDS] = {}
    base = app[BASE_PATH]
    for path in dict.fromkeys(route.path for route in ROUTES):
        routes = [route for route in ROUTES if route.path == path]
        # Several players add a slash to WHEP's addresses, or to ours before them, and a redirect would fail a browser's
        # preflight.
        more = ("", "/") if path.startswith(WHEP) else ("",)
        for end, slash in product(more, more):
            for before in dict.fromkeys(("", base)):  # proxies leave our path where it is, or take it off
                _add(app, f"{before}{slash}{path}{end}", routes)
    if base:
        _add(app, base, [Route(hdrs.METH_GET, base, pages.to_base, Right.ANYBODY)])


def _add(app: web.Application, path: str, routes: list[Route]) -> None:
    resource, needs = app.router.add_resource(path), app[NEEDS]
    for route in routes:
        needs[resource.add_route(route.method, route.handler)] = route.right, route.need
        if route.method == hdrs.METH_GET:
            needs[resource.add_route(hdrs.METH_HEAD, route.handler)] = route.right, route.need


def need_of(request: web.Request) -> tuple[Right, Need]:
    """The right and the conditions of the route that a request takes."""
    known = request.app[NEEDS].get(request.match_info.route)
    if known is not None:
        return known
    changing = request.method in CHANGING and not path_of(request).startswith(WHEP)  # a 404 or 405
    return Right.ANYBODY, Need.OUR_PAGE if changing else Need.NOTHING
