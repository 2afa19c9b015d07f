"""REST: cameras, viewers and nodes, and the document that describes all of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from aiohttp import hdrs, web
from pydantic import BaseModel

from broker.access.principal import Principal
from broker.director.events import EndReason
from broker.front.bodies import read_json
from broker.front.context import CONTEXT, Context
from broker.front.gate import check_still, principal_of
from broker.front.lists import KeptLists
from broker.front.offers import check_socket
from broker.front.openapi import document
from broker.front.peer import address_of, client_said, host_said, is_secure, prefix_of, scheme_said, trusted
from broker.front.views import (
    ArrivalView,
    CameraView,
    NodeView,
    ViewerView,
    camera_view,
    node_view,
    session_view,
    summary_for_viewer,
    view_for_viewer,
    viewer_view,
)
from common import __version__
from common.cameras import CameraName
from common.control import NodeName
from common.errors import RequestError
from common.process import LoadMeter
from common.sessions import SessionName, public_name

LOAD = web.AppKey("load", LoadMeter)
LISTS = web.AppKey("lists", dict[str, KeptLists])

MAX_CAMERA = 16 << 10  # bytes of a camera's description, most of it an address of 2 kB at most


def prepare(app: web.Application) -> None:
    """Give the application what the API keeps between requests."""
    app[LOAD] = LoadMeter()
    app[LISTS] = {name: KeptLists(app[CONTEXT].clock) for name in ("cameras", "viewers", "nodes")}
    app.on_startup.append(_forget_with_each_change)


async def list_cameras(request: web.Request) -> web.Response:
    """All cameras that whoever asks may watch."""
    context, principal = request.app[CONTEXT], principal_of(request)

    def cameras() -> list[CameraView]:
        names = (id for id in context.control.catalogue.names if principal.may_watch(id))
        return [_camera(context, id, principal) for id in names]

    return _answer_list(request, "cameras", cameras, "" if principal.is_admin else repr(principal.cameras))


async def add_camera(request: web.Request) -> web.Response:
    """A new camera."""
    context = request.app[CONTEXT]
    document = await read_json(request, MAX_CAMERA)
    check_still(request)
    id = context.control.catalogue.add(document)
    return _answer(_camera(context, id, principal_of(request)), status=201, headers={"Location": f"/api/cameras/{id}"})


async def show_camera(request: web.Request) -> web.Response:
    """One camera."""
    return _answer(_camera(request.app[CONTEXT], CameraName(request.match_info["id"]), principal_of(request)))


async def change_camera(request: web.Request) -> web.Response:
    """Some of a camera's configuration is to be another: a JSON merge patch (RFC 7396)."""
    context, id = request.app[CONTEXT], CameraName(request.match_info["id"])
    change = await read_json(request, MAX_CAMERA)
    check_still(request)
    context.control.catalogue.change(id, change)
    return _answer(_camera(context, id, principal_of(request)))


async def remove_camera(request: web.Request) -> web.Response:
    """A camera is not wanted any more."""
    request.app[CONTEXT].control.catalogue.remove(CameraName(request.match_info["id"]))
    return web.Response(status=204)


async def list_viewers(request: web.Request) -> web.Response:
    """All viewers' sessions."""
    director = request.app[CONTEXT].control.director

    def viewers() -> list[ViewerView]:
        statuses = (director.session(id) for id in director.sessions)
        return [viewer_view(status) for status in statuses if status is not None]

    return _answer_list(request, "viewers", viewers)


async def show_session(request: web.Request) -> web.Response:
    """One viewer's session, for its player. Raises ``RequestError`` if there is none."""
    control = request.app[CONTEXT].control
    status = await control.find(SessionName(request.match_info["session"]))
    if status is None:
        raise RequestError(404, "unknown_session", "There is no such session; it may have ended.")
    view = session_view(control, status)
    if not principal_of(request).is_admin:
        view = view.model_copy(update={"camera": summary_for_viewer(view.camera)})
    return _answer(view)


async def close_viewer(request: web.Request) -> web.Response:
    """End a viewer's session, by the name that lists have for it. Raises ``RequestError`` if there is none."""
    control, name = request.app[CONTEXT].control, request.match_info["session"]
    session = next((id for id in control.director.sessions if public_name(id) == name), None)
    if session is None:
        raise RequestError(404, "unknown_session", "There is no such session; GET /api/viewers lists the sessions.")
    control.end(session, EndReason.OPERATOR)
    return web.Response(status=204)


async def list_nodes(request: web.Request) -> web.Response:
    """All processes of the cluster, this one first."""
    context = request.app[CONTEXT]

    def nodes() -> list[NodeView]:
        now = context.clock()
        workers = sorted(context.control.director.workers, key=lambda worker: worker.node)
        return [_broker(context, request.app[LOAD]), *(node_view(worker, now) for worker in workers)]

    return _answer_list(request, "nodes", nodes)


async def drain_node(request: web.Request) -> web.Response:
    """A worker is to end in good order. Raises ``RequestError`` if it cannot be spared."""
    request.app[CONTEXT].control.drain(NodeName(request.match_info["node"]))
    return web.Response(status=202)


async def even_out(request: web.Request) -> web.Response:
    """Players are to be asked to come again where fewer viewers are."""
    request.app[CONTEXT].control.even_out()
    return web.Response(status=202)


async def arrival(request: web.Request) -> web.Response:
    """How this request arrived, and whether a WebSocket would be let in beside it."""
    context, refused = request.app[CONTEXT], ""
    try:
        check_socket(context, context.quotas.address(address_of(request)))
    except RequestError as exc:
        refused = exc.message
    view = ArrivalView(
        host=request.headers.get(hdrs.HOST, ""),
        forwarded_host=host_said(request),
        forwarded_proto=scheme_said(request),
        forwarded_for=client_said(request),
        believed=trusted(request),
        scheme="https" if is_secure(request) else "http",
        prefix=prefix_of(request),
        refused=refused,
    )
    return _answer(view)


async def openapi(request: web.Request) -> web.Response:
    """The description of this API."""
    return web.json_response(document() | {"servers": [{"url": prefix_of(request) or "/"}]})


def _camera(context: Context, id: CameraName, principal: Principal) -> CameraView:
    """A camera as the principal may see it: where it is, is an admin's business."""
    entry = context.control.catalogue.get(id)
    if entry is None:
        raise RequestError(404, "unknown_camera", f"There is no camera {id!r}.")
    statuses = {name: context.control.director.camera(name) for name in entry.specs}
    view = camera_view(entry, {name: status for name, status in statuses.items() if status is not None})
    return view if principal.is_admin else view_for_viewer(view)


def _broker(context: Context, load: LoadMeter) -> NodeView:
    relayed = context.relay.statistics
    counters = context.counted
    counters["relay_frames_in"], counters["relay_bytes_in"] = relayed.frames_in, relayed.bytes_in
    return NodeView(
        node="broker",
        role="broker",
        host=socket.gethostname(),
        pid=os.getpid(),
        version=__version__,
        alive=True,
        draining=False,
        silent_for=0.0,
        load=load.read(),
        cameras=list(context.control.catalogue.names),
        viewers=len(context.control.director.sessions),
        counters=dict(counters),
    )


async def _forget_with_each_change(app: web.Application) -> None:
    app[CONTEXT].control.catalogue.on_change(app[LISTS]["cameras"].forget)


def _answer(view: BaseModel, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    headers = {"Cache-Control": "no-store"} | (headers or {})
    return web.json_response(text=view.model_dump_json(), status=status, headers=headers)


def _answer_list(
    request: web.Request, name: str, make: Callable[[], Sequence[BaseModel]], seen_by: str = ""
) -> web.Response:
    body = request.app[LISTS][name].read(make, seen_by)
    return web.json_response(body=body, headers={"Cache-Control": "no-store"})
