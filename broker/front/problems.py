"""Errors as the front door gives them: RFC 9457 problem details, a ``code`` for programs, a sentence for people."""

from __future__ import annotations

import re
import sqlite3
from http import HTTPStatus
from math import ceil

from aiohttp import web
from aiohttp.typedefs import Handler

from broker.front.context import CONTEXT
from broker.front.foreign import in_place_of
from broker.front.peer import path_of, prefix_of
from common.errors import RequestError

RETRY_AFTER = 1  # seconds, with every 429 and 503: workers come back within that

_HEADERS = {
    401: {"WWW-Authenticate": 'Bearer realm="camshaft"'},  # RFC 9110 11.6.1, RFC 6750 3
    426: {"Connection": "Upgrade", "Upgrade": "websocket"},  # RFC 9110 15.5.22
    429: {"Retry-After": str(RETRY_AFTER)},
    503: {"Retry-After": str(RETRY_AFTER)},
}
_CODES = {404: "not_found", 405: "method_not_allowed"}
_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This method is not allowed here; see the Allow header.",
}
_BELOW_A_PATH = re.compile(r"^/[^/]+(?:/[^/]+){0,15}?/(?:ws$|(?:api|mse|static|watch|whep)/)")
_WHEP = re.compile(r"/whep/([A-Za-z0-9._-]{1,64})(?:/|\Z)")
_NOT_STRIPPED = (
    "If a reverse proxy serves this server below a path, name that path in http.base_path, or have the proxy remove it "
    "(nginx: a slash at the end of proxy_pass)."
)


def problem_body(error: RequestError) -> dict[str, object]:
    """RFC 9457's members for an error of ours, and ``error``, which players show that were made for MediaMTX."""
    return {
        "type": "about:blank",
        "title": _title(error.status),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "error": error.message,
    }


def problem(error: RequestError, request: web.Request | None = None) -> web.Response:
    """The response for an error of ours: its sentence alone, if a browser asked for a page."""
    headers = dict(_HEADERS.get(error.status, {}))
    if error.retry_after:
        headers["Retry-After"] = str(ceil(error.retry_after))
    if request is not None and _is_typed(request):
        return web.Response(text=f"{error.message}\n", status=error.status, headers=headers)
    return web.json_response(
        problem_body(error), status=error.status, content_type="application/problem+json", headers=headers
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into problem details. A bug of ours is a 500, counted, and a traceback in the log once a minute."""
    try:
        return await handler(request)
    except RequestError as exc:
        return problem(exc, request)
    except web.HTTPError as exc:
        code = _CODES.get(exc.status, "http_error")
        sentence = f"{_SENTENCES.get(exc.status, exc.reason)} {_instead(exc.status, request)}".rstrip()
        response = problem(RequestError(exc.status, code, sentence), request)
        if "Allow" in exc.headers:
            response.headers["Allow"] = exc.headers["Allow"]
        return response
    except web.HTTPException:
        raise
    except sqlite3.Error as exc:
        context = request.app[CONTEXT]
        context.counters["people_failed"] += 1
        context.quiet.warning("users cannot be written", reason=str(exc), route=_route(request))
        sentence = (
            "Sign-ins and sign-outs cannot be stored right now, perhaps because the disk is full; the log says why."
        )
        return problem(RequestError(503, "people_failed", sentence), request)
    except ConnectionError:  # it has gone, and hears no answer
        raise
    except Exception:
        context = request.app[CONTEXT]
        context.counters["http_bugs"] += 1
        context.quiet.exception("request failed", method=request.method, route=_route(request))
        bug = RequestError(500, "internal_error", "The server failed; its log has the details.")
        return problem(bug, request)


def _instead(status: int, request: web.Request) -> str:
    """The sentence about what to ask for in place of an address that is not there, or not for a browser."""
    if status == 405 and (found := _WHEP.match(path_of(request))):
        page = f"the page of this camera is {prefix_of(request)}/watch/{found[1]}"
        return f"The address is for players (WHEP), which send it an offer by POST; {page}."
    if status != 404:
        return ""
    below = _NOT_STRIPPED if _BELOW_A_PATH.search(request.path) else ""
    if (said := in_place_of(request.path_qs) or below) or not _is_typed(request):
        return said
    return f"The list of cameras is at {prefix_of(request)}/, a camera's page at {prefix_of(request)}/watch/CAMERA."


def _is_typed(request: web.Request) -> bool:
    """Whether a browser asks for a page."""
    return request.method == "GET" and request.headers.get("Accept", "").startswith("text/html")


def _route(request: web.Request) -> str:
    """The path with names in place of what stands there: a session's own name is its viewer's secret."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
