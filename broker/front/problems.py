"""Errors as the front door gives them: RFC 9457 problem details, a ``code`` for programs, a sentence for people."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from common.errors import ViewerError

MAX_BODY = 64 << 10  # bytes: an offer of Chromium's with all its codecs is 8 kB
RETRY_AFTER = 1  # seconds, with every 503: workers come back within that

_HEADERS = {
    426: {"Connection": "Upgrade", "Upgrade": "websocket"},  # RFC 9110 15.5.22
    503: {"Retry-After": str(RETRY_AFTER)},
}
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This method is not allowed here; see the Allow header.",
    413: f"The body is larger than {MAX_BODY >> 10} kB.",
}


def problem(error: ViewerError) -> web.Response:
    """The response for an error of ours."""
    body = {
        "type": "about:blank",
        "title": _title(error.status),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
    }
    return web.json_response(
        body, status=error.status, content_type="application/problem+json", headers=_HEADERS.get(error.status)
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into problem details. What is a bug of ours is left to aiohttp: a traceback in the log, and a 500."""
    try:
        return await handler(request)
    except ViewerError as exc:
        return problem(exc)
    except web.HTTPError as exc:
        code = _CODES.get(exc.status, "http_error")
        response = problem(ViewerError(exc.status, code, _SENTENCES.get(exc.status, exc.reason)))
        if "Allow" in exc.headers:
            response.headers["Allow"] = exc.headers["Allow"]
        return response


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
