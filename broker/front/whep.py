"""WHEP, draft-ietf-wish-whep: ``POST`` an offer, get the answer and the address of a session; ``DELETE`` it to leave.

The session behaves like WHIP's (RFC 9725 4.3): ``PATCH`` trickles candidates under ``If-Match``; an ICE restart is
refused with 422, and the player makes a new session instead. GET, HEAD and PUT are reserved and answered with 405
(RFC 9725 4.2): whether a session still exists is asked at ``/api/viewers/{session}``.

All of it is open to pages of every origin (CORS), and so is that answer: who knows a session's name may end it anyway.
"""

from __future__ import annotations

import hashlib
import re

from aiohttp import web

from broker.director.events import SessionStatus
from broker.front.bodies import read_text
from broker.front.context import CONTEXT
from broker.front.sdpfrag import candidates
from common.errors import ViewerError

SDP, SDPFRAG = "application/sdp", "application/trickle-ice-sdpfrag"

_EXPOSED = "Location, ETag, Link, Accept-Patch, Retry-After"
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+){1,16}")
_ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')


def add_routes(app: web.Application) -> None:
    """Add WHEP to the application."""
    endpoint, session = "/whep/{camera}", "/whep/{camera}/{session}"
    app.router.add_post(endpoint, offer)
    app.router.add_options(endpoint, endpoint_options)
    app.router.add_patch(session, trickle)
    app.router.add_delete(session, leave)
    app.router.add_options(session, session_options)
    app.on_response_prepare.append(_allow_all_origins)


async def offer(request: web.Request) -> web.Response:
    """A viewer joins."""
    _expect(request, SDP)
    sdp = await read_text(request)
    if not sdp.lstrip().startswith("v=0"):
        raise ViewerError(400, "malformed_sdp", "The body is not an SDP offer (RFC 8866): it does not begin with v=0.")
    camera = request.match_info["camera"]
    answer = await request.app[CONTEXT].cluster.offer(camera, sdp)
    headers = {
        "Location": f"{_prefix(request)}/whep/{camera}/{answer.session}",
        "ETag": entity_tag(answer.session),
        "Accept-Patch": SDPFRAG,
    }
    response = web.Response(status=201, text=answer.sdp, content_type=SDP, headers=headers)
    _add_links(request, response)
    return response


async def trickle(request: web.Request) -> web.Response:
    """A viewer's candidates."""
    _expect(request, SDPFRAG)
    session = await _find(request)
    _check_precondition(request, session.session)
    for candidate in candidates(await read_text(request)):
        request.app[CONTEXT].cluster.trickle(session.session, candidate)
    return web.Response(status=204)


async def leave(request: web.Request) -> web.Response:
    """A viewer leaves."""
    session = await _find(request)
    request.app[CONTEXT].cluster.hang_up(session.session)
    return web.Response(status=200)


async def endpoint_options(request: web.Request) -> web.Response:
    """What may be done with a camera; also the CORS preflight."""
    response = web.Response(status=204, headers={"Allow": "POST, OPTIONS", "Accept-Post": SDP})
    _add_links(request, response)
    return _preflight(response, "POST, OPTIONS")


async def session_options(request: web.Request) -> web.Response:
    """What may be done with a session; also the CORS preflight."""
    methods = "PATCH, DELETE, OPTIONS"
    return _preflight(web.Response(status=204, headers={"Allow": methods, "Accept-Patch": SDPFRAG}), methods)


def entity_tag(session: str) -> str:
    """The tag of a session's ICE state. It never changes, as there is no ICE restart, and every broker knows it."""
    return f'"{hashlib.sha256(session.encode()).hexdigest()[:16]}"'


def _check_precondition(request: web.Request, session: str) -> None:
    """RFC 9725 4.3.1: the entity tag says which ICE session a fragment belongs to."""
    condition = request.headers.get("If-Match")
    if condition is None:
        raise ViewerError(428, "if_match_missing", "Send the session's ETag in an If-Match header.")
    if condition.strip() == "*":  # RFC 9725 4.3.3: this asks for an ICE restart
        message = "An ICE restart is not supported; make a new session with POST."
        raise ViewerError(422, "ice_restart_unsupported", message)
    if entity_tag(session) not in _ENTITY_TAG.findall(condition):
        raise ViewerError(412, "etag_mismatch", "If-Match does not name the session's ETag.")


async def _find(request: web.Request) -> SessionStatus:
    session = await request.app[CONTEXT].cluster.find(request.match_info["session"])
    if session is None or session.camera != request.match_info["camera"]:
        raise ViewerError(404, "unknown_session", "There is no such session; it may have ended.")
    return session


def _prefix(request: web.Request) -> str:
    """The path that a reverse proxy has us below, as it says itself; who invents one misleads itself alone."""
    prefix = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) else ""


def _expect(request: web.Request, media_type: str) -> None:
    if request.content_type != media_type:
        raise ViewerError(415, "wrong_content_type", f"The Content-Type must be {media_type}.")


def _add_links(request: web.Request, response: web.Response) -> None:
    for server in request.app[CONTEXT].ice_servers:
        response.headers.add("Link", server.link)


def _preflight(response: web.Response, methods: str) -> web.Response:
    response.headers["Access-Control-Allow-Methods"] = methods
    response.headers["Access-Control-Allow-Headers"] = "Content-Type, If-Match, Authorization"
    response.headers["Access-Control-Max-Age"] = "86400"
    return response


async def _allow_all_origins(request: web.Request, response: web.StreamResponse) -> None:
    """Errors included: a page must be able to read why it was refused."""
    if request.path.startswith(("/whep/", "/api/viewers/")):
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
