"""Every address of the front door: its handler, and what it needs of a request. One table, which requests are led by.

What a route needs is declared here and nowhere else; the door asks the guard for it before the handler is called. What
no route leads to is refused as what would change something is, except below WHEP's path, which every page may know.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from broker.front import api, health, pages, signalling, stills, whep


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
    need: Need = Need.NOTHING


ROUTES = (
    Route("GET", "/", pages.index),
    Route("GET", "/watch/{camera}", pages.watch),
    Route("GET", "/static/{name}", pages.static),
    Route("GET", "/api/cameras", api.list_cameras),
    Route("POST", "/api/cameras", api.add_camera, Need.OUR_PAGE),
    Route("GET", "/api/cameras/{id}", api.show_camera),
    Route("PATCH", "/api/cameras/{id}", api.change_camera, Need.OUR_PAGE),
    Route("DELETE", "/api/cameras/{id}", api.remove_camera, Need.OUR_PAGE),
    Route("GET", "/api/cameras/{id}/snapshot.jpg", stills.snapshot),
    Route("GET", "/api/viewers", api.list_viewers),
    Route("GET", "/api/viewers/{session}", api.show_session),
    Route("GET", "/api/nodes", api.list_nodes),
    Route("GET", "/api/arrival", api.arrival),
    Route("GET", "/api/openapi.json", api.openapi),
    Route("POST", "/whep/{camera}", whep.offer),
    Route("OPTIONS", "/whep/{camera}", whep.endpoint_options),
    Route("PATCH", "/whep/{camera}/{session}", whep.trickle),
    Route("DELETE", "/whep/{camera}/{session}", whep.leave),
    Route("OPTIONS", "/whep/{camera}/{session}", whep.session_options),
    Route("GET", "/ws", signalling.connect, Need.OUR_PAGE),
    Route("GET", "/healthz", health.alive),
    Route("GET", "/readyz", health.ready),
)

CHANGING = frozenset({hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE})
WHEP = "/whep/"
NEEDS = web.AppKey("needs", dict[web.AbstractRoute, Need])


def add_routes(app: web.Application) -> None:
    """Lead the application's requests by the table. A HEAD is answered as the GET would be."""
    app[NEEDS] = needs = {}
    for path in dict.fromkeys(route.path for route in ROUTES):
        routes = [route for route in ROUTES if route.path == path]
        # Several players add a slash to WHEP's addresses, and a redirect would fail a browser's preflight.
        for end in ("", "/") if path.startswith(WHEP) else ("",):
            resource = app.router.add_resource(path + end)
            for route in routes:
                needs[resource.add_route(route.method, route.handler)] = route.need
                if route.method == hdrs.METH_GET:
                    needs[resource.add_route(hdrs.METH_HEAD, route.handler)] = route.need


def need_of(request: web.Request) -> Need:
    """The conditions of the route that a request takes."""
    need = request.app[NEEDS].get(request.match_info.route)
    if need is None:  # a 404 or 405
        need = Need.OUR_PAGE if request.method in CHANGING and not request.path.startswith(WHEP) else Need.NOTHING
    return need
