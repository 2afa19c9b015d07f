"""The check of each request: what it shows, by whom it is, and whether the route that it takes lets it through.

A token comes in ``Authorization: Bearer`` (RFC 6750 2.1), or as ``?token=`` where a browser can set no header. The
cookie of a browser in which somebody signed in comes by itself, and so does the header of a proxy that signs people in:
they count only in requests from pages of ours. Each refusal is one line of the log, and never has a token in it.
"""

from __future__ import annotations

from enum import Enum, auto

from aiohttp import HttpVersion11, hdrs, web

from broker.access.desk import Credentials
from broker.access.principal import Principal
from broker.front.context import CONTEXT, Context
from broker.front.cookies import cookie_of
from broker.front.peer import INGRESS_PATH, address_of, host_of, is_secure, path_of, trusted
from common.cameras import CameraName
from common.errors import RequestError
from common.sessions import SessionName

TOKEN = "token"  # noqa: S105 - the name of the query's field
COOKIE = "camshaft_login"
MAX_PATH = 200  # characters of what was asked for, in the log
_SCHEME = "bearer "
_SESSIONS = "/whep/"
_OF_PROXIES = (
    *(hdrs.FORWARDED, hdrs.VIA, hdrs.X_FORWARDED_FOR, hdrs.X_FORWARDED_HOST, hdrs.X_FORWARDED_PROTO),
    *("X-Forwarded-Prefix", "X-Real-IP", INGRESS_PATH),
)
_PRINCIPAL = web.RequestKey("principal", Principal)


class Right(Enum):
    """The right that a route asks for."""

    ANYBODY = auto()
    SIGNED_IN = auto()  # whoever is known; the handler shows no more than that one may see
    CAMERA = auto()  # to watch the camera of the path
    SESSION = auto()  # to watch the camera of the session of the path
    OWNER = auto()  # none but to know the session's secret name, which the path has
    MONITOR = auto()  # to read what is measured
    ADMIN = auto()


async def admit(request: web.Request, right: Right) -> None:
    """Let the request through to its handler. Raises ``RequestError`` where it may not go."""
    if right in (Right.ANYBODY, Right.OWNER):
        return
    principal = await request.app[CONTEXT].desk.identify(credentials(request))
    if principal is not None:
        request[_PRINCIPAL] = principal
    _check_open(request)
    await _check(request, right, principal)


def principal_of(request: web.Request) -> Principal:
    """By whom the request is. Only for handlers of routes that are not for anybody."""
    return request[_PRINCIPAL]


def check_still(request: web.Request) -> None:
    """See that the right lasts with which the request was let in, after it had to be waited for anything.

    A body takes as long as its sender likes. Raises ``RequestError``.
    """
    if not request.app[CONTEXT].desk.still(principal_of(request)):
        refusal = RequestError(401, "right_ended", "Your rights have just changed; sign in again.")
        note(request, refusal)
        raise refusal


async def known(request: web.Request) -> Principal | None:
    """Somebody who asks and has signed in, or need not; else ``None``. For handlers of routes that are for anybody."""
    try:
        principal = await request.app[CONTEXT].desk.identify(credentials(request))
        _check_open(request)
    except RequestError:
        return None
    return principal


def credentials(request: web.Request) -> Credentials:
    """The credentials that came with the request."""
    header = request.headers.get(hdrs.AUTHORIZATION, "")
    if header[: len(_SCHEME)].lower() == _SCHEME:
        return Credentials(token=header[len(_SCHEME) :].strip())
    guard = request.app[CONTEXT].guard
    ours = guard.is_ours(request.headers.get(hdrs.ORIGIN), host_of(request), secure=is_secure(request))
    token = request.query.get(TOKEN, "")
    if not ours:
        return Credentials(token)
    user, groups = _signed_in_by_proxy(request)
    return Credentials(token, cookie_of(request, COOKIE), user, groups)


def _signed_in_by_proxy(request: web.Request) -> tuple[str, tuple[str, ...]]:
    """The user, and its groups, that a proxy in between has signed in; empty if none is believed."""
    names = request.app[CONTEXT].forward_auth
    if not names.user or not trusted(request):
        return "", ()
    users = request.headers.getall(names.user, [])
    groups = request.headers.getall(names.groups, []) if names.groups else []
    if len(users) != 1 or len(groups) > 1:  # twice: one of them may be from whoever asked the proxy
        return "", ()
    return users[0], tuple(each.strip() for each in ",".join(groups).split(","))


def check_camera(principal: Principal, camera: CameraName) -> None:
    """Raises ``RequestError`` unless the principal may watch the camera, whether or not there is one of that name."""
    if not principal.may_watch(camera):
        raise RequestError(403, "not_allowed", "You have no right to watch this camera.")


def check_camera_here(
    context: Context, principal: Principal, address: str | None, camera: CameraName, asked: str
) -> None:
    """Check the same where the camera is asked for by an open WebSocket. Raises ``RequestError``."""
    try:
        check_camera(principal, camera)
    except RequestError as exc:
        asked = f"{asked} {camera[:MAX_PATH]} by WebSocket"
        note_refusal(context, exc, who=principal, address=address, asked=asked)
        raise


def _check_open(request: web.Request) -> None:
    """See that a door which is open to whoever uses this machine is open to nobody else.

    Not to whoever a proxy here lets through, and not to the pages of other sites in the browser of who uses it: these
    may ask the loopback as well, and much of what we answer is for pages of all origins to read. Raises
    ``RequestError``.
    """
    if not request.app[CONTEXT].desk.local_only:
        return
    origin = request.headers.get(hdrs.ORIGIN)
    if not request.app[CONTEXT].guard.is_near(origin, host_of(request)):
        raise RequestError(
            403,
            "open_to_no_page",
            "This server is open to everyone on its machine, and therefore not to pages of other sites such as "
            f"{str(origin)[:200]}, which a browser there may have open: make a token for that page (camshaft token "
            "new NAME), or write auth: none in camshaft.yaml if any page may watch.",
        )
    if _came_by_proxy(request):
        raise RequestError(
            403,
            "open_behind_proxy",
            "This server is open to everyone on its machine, and therefore not to people behind a reverse proxy: make "
            "a user (camshaft user add NAME --role admin) or a token (camshaft token new NAME), or write auth: none in "
            "camshaft.yaml if everybody whom the proxy lets through may watch and change everything.",
        )


def _came_by_proxy(request: web.Request) -> bool:
    """Whether a reverse proxy shows in a request. Tunnels that a user opens, such as ssh's, add nothing to it."""
    if request.version < HttpVersion11:  # what nginx speaks unless told otherwise, and no browser does
        return True
    # Of a browser's Connection: upgrade a proxy's rule for WebSockets leaves this where there was none.
    upgrades = "upgrade" in request.headers.get(hdrs.CONNECTION, "").lower()
    return (upgrades and hdrs.UPGRADE not in request.headers) or any(name in request.headers for name in _OF_PROXIES)


async def _check(request: web.Request, right: Right, principal: Principal | None) -> None:
    if principal is None:
        raise RequestError(
            401, "not_signed_in", "Sign in first, or send a token: Authorization: Bearer TOKEN, or ?token=TOKEN."
        )
    match right:
        case Right.ADMIN if not principal.is_admin:
            raise RequestError(403, "not_allowed", "Only an admin may do that.")
        case Right.MONITOR if not principal.may_monitor:
            raise RequestError(403, "not_allowed", "Only an admin, or a token with the role monitor, may read that.")
        case Right.CAMERA:
            check_camera(principal, CameraName(request.match_info.get("camera") or request.match_info["id"]))
        case Right.SESSION:
            session = await request.app[CONTEXT].control.find(SessionName(request.match_info["session"]))
            if session is not None:  # else the handler says so
                check_camera(principal, session.camera)


def note(request: web.Request, refusal: RequestError) -> None:
    """Count and log that a request was refused."""
    note_refusal(
        request.app[CONTEXT],
        refusal,
        who=request.get(_PRINCIPAL),
        address=address_of(request),
        asked=described(request),
    )


def note_refusal(
    context: Context, refusal: RequestError, *, who: Principal | None, address: str | None, asked: str
) -> None:
    """Count and log that somebody was refused. ``address`` is whoever asks', ``asked`` what for, without any secret."""
    context.counters[f"access_{refusal.code}"] += 1
    context.audit.warning(
        "access refused",
        about=context.quotas.address(address) or "",
        reason=refusal.message,
        who=who.label if who is not None else "",
        address=address,
        request=asked,
    )


def described(request: web.Request) -> str:
    """Method and path for the log, without what only its owner may know: a session's name, and the query."""
    resource = request.match_info.route.resource
    path = request.path
    if resource is None and path_of(request).startswith(_SESSIONS):  # no route of ours, but perhaps a session's name
        path = f"{_SESSIONS}..."
    elif resource is not None and "session" in request.match_info:
        path = resource.canonical
    return f"{request.method} {path[:MAX_PATH]}"
