"""WHEP, draft-ietf-wish-whep: ``POST`` an offer, get the answer and the address of a session; ``DELETE`` it to leave.

``?stream=`` names the camera's stream, ``main``, ``sub`` or ``auto``, and ``?height=`` the height of its picture on the
screen in pixels, by which ``auto``, the default, chooses.

The session behaves like WHIP's (RFC 9725 4.3): ``PATCH`` trickles candidates, or restarts ICE if it brings other
credentials (``broker.front.sdpfrag``). GET, HEAD and PUT are reserved and answered with 405 (RFC 9725 4.2): whether a
session still exists is asked at ``/api/viewers/{session}``. Who knows a session's address owns it, and needs to show
nothing else for PATCH and DELETE: players send their token with the offer, and many not again.

All of it is open to pages of every origin (CORS), and so is that answer: a right comes with a token, never with where
a page is from. Whom passwords of TURN servers go to, ``ice_servers`` says.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlencode

from aiohttp import web

from broker.access.principal import Principal
from broker.director.status import SessionStatus
from broker.front.bodies import read_text
from broker.front.context import CONTEXT
from broker.front.gate import TOKEN, check_still, known, principal_of
from broker.front.offers import ask, parse_wish
from broker.front.peer import INGRESS_PATH, address_of, host_of, is_secure, path_of, prefix_of
from broker.front.sdpfrag import Ours, Patch, check_fragment, credentials_of, purpose, read_fragment
from broker.front.whep_events import link
from common.cameras import CameraName, split_stream
from common.errors import RequestError
from common.sessions import SessionName

SDP, SDPFRAG = "application/sdp", "application/trickle-ice-sdpfrag"

_EXPOSED = "Location, ETag, Link, Accept-Patch, Retry-After"
_OF_PROXIES = (
    "forwarded",
    "x-forwarded-",
    "x-real-ip",
    INGRESS_PATH.lower(),
)  # beginnings of headers that no page may send
_NO_SDP = (
    "The body is not an SDP offer (RFC 8866): it does not begin with v=0. Send the text of "
    "localDescription.sdp as it is, without JSON around it."
)
_HEADER_NAMES = re.compile(r"[A-Za-z0-9-]{1,64}+(?:, ?[A-Za-z0-9-]{1,64}+){0,31}")


def prepare(app: web.Application) -> None:
    """Open WHEP's answers to pages of all origins."""
    app.on_response_prepare.append(_allow_all_origins)


async def offer(request: web.Request) -> web.Response:
    """A viewer joins. Raises ``RequestError`` if it cannot."""
    _expect(request, SDP)
    sdp = (await read_text(request)).removeprefix("\ufeff")  # that some editors write
    check_still(request)
    if not sdp.strip():
        raise RequestError(
            400, "empty_offer", "The body is empty; it must be an SDP offer. This server makes no offers."
        )
    if not sdp.lstrip().startswith("v=0"):
        raise RequestError(400, "malformed_sdp", _NO_SDP)
    context, camera = request.app[CONTEXT], CameraName(request.match_info["camera"])
    wish = parse_wish(request.query.get("stream"), request.query.get("height"))
    answer = await ask(context, principal_of(request), address_of(request), camera, sdp, wish)
    token = request.query.get(TOKEN)  # a player that could not set a header here cannot set one there either
    query = f"?{urlencode({TOKEN: token})}" if token else ""
    headers = {
        "Location": f"{prefix_of(request)}/whep/{camera}/{answer.session}{query}",
        "ETag": entity_tag(answer.session),
        "Accept-Patch": SDPFRAG,
    }
    response = web.Response(status=201, text=answer.sdp, content_type=SDP, headers=headers)
    _add_links(request, response, principal_of(request))
    response.headers.add("Link", link(f"{prefix_of(request)}/whep/{camera}/{answer.session}", query))
    return response


async def patch(request: web.Request) -> web.Response:
    """A viewer's candidates, which are checked and let go, or its side of an ICE restart, answered with ours."""
    _expect(request, SDPFRAG)
    await _find(request)  # before anything of the body is waited for
    fragment = read_fragment(await read_text(request))
    check_fragment(fragment)
    status = await _find(request)
    session, ice = status.session, status.report.ice if status.report is not None else ""
    ours = Ours(session, ice, entity_tag(session, ice))
    if purpose(fragment, request.headers.get("If-Match"), ours) is Patch.TRICKLE:
        return web.Response(status=204)
    restarted = await request.app[CONTEXT].control.restart_ice(session, *credentials_of(fragment))
    headers = {"ETag": entity_tag(session, restarted.ice)}
    return web.Response(status=200, text=restarted.fragment, content_type=SDPFRAG, headers=headers)


async def leave(request: web.Request) -> web.Response:
    """A viewer leaves."""
    session = await _find(request)
    request.app[CONTEXT].control.hang_up(session.session)
    return web.Response(status=200)


async def endpoint_options(request: web.Request) -> web.Response:
    """The methods that a camera's address has; also the CORS preflight."""
    response = _preflight(request, {"Accept-Post": SDP})
    _add_links(request, response, await known(request))
    return response


async def session_options(request: web.Request) -> web.Response:
    """The methods that a session's address has; also the CORS preflight."""
    return _preflight(request, {"Accept-Patch": SDPFRAG})


def entity_tag(session: str, ice: str = "") -> str:
    """The tag of a session's ICE session, which every broker knows; ``ice`` is the mark of it after a restart."""
    return f'"{hashlib.sha256((session + ice).encode()).hexdigest()[:16]}"'


async def _find(request: web.Request) -> SessionStatus:
    session = await request.app[CONTEXT].control.find(SessionName(request.match_info["session"]))
    if session is None or split_stream(session.camera)[0] != request.match_info["camera"]:
        raise RequestError(404, "unknown_session", "There is no such session; it may have ended.")
    return session


def _expect(request: web.Request, media_type: str) -> None:
    if request.content_type != media_type:
        raise RequestError(415, "wrong_content_type", f"The Content-Type must be {media_type}.")


def _add_links(request: web.Request, response: web.Response, principal: Principal | None) -> None:
    """Name the STUN and TURN servers that somebody is told of."""
    context = request.app[CONTEXT]
    ours = context.guard.is_ours(request.headers.get("Origin"), host_of(request), secure=is_secure(request))
    address = context.quotas.address(address_of(request))
    for server in context.ice_servers.told(principal, address, ours=ours, now=context.desk.now):
        response.headers.add("Link", server.link)


def _preflight(request: web.Request, headers: dict[str, str]) -> web.Response:
    resource = request.match_info.route.resource
    assert resource is not None, "this very route has one"
    methods = ", ".join(route.method for route in resource)
    wanted = _wanted_headers(request)
    more = f", {wanted}" if wanted else ""
    headers |= {
        "Allow": methods,
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": f"Content-Type, If-Match, Authorization{more}",
        "Access-Control-Max-Age": "86400",
    }
    return web.Response(status=204, headers=headers)


def _wanted_headers(request: web.Request) -> str:
    """The headers that a player adds, if a page may send them: not those by which proxies tell who asks, and where."""
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    names = {name.strip() for name in wanted.lower().split(",")}
    auth = request.app[CONTEXT].forward_auth
    told = names & {auth.user.lower(), auth.groups.lower()} or any(name.startswith(_OF_PROXIES) for name in names)
    return wanted if _HEADER_NAMES.fullmatch(wanted) and not told else ""


async def _allow_all_origins(request: web.Request, response: web.StreamResponse) -> None:
    """Errors included: a page must be able to read why it was refused."""
    if path_of(request).startswith(("/whep/", "/api/viewers/", "/mse/")):
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
