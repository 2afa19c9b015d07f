"""Cookies of ours, kept to the path that a reverse proxy has us below: what else is on the host gets none of them.

Two servers below one host, one of them below a path of the other's, have cookies of the same names. A browser sends
that of the longer path first (RFC 6265 5.4), so the first of a name is ours.
"""

from __future__ import annotations

from aiohttp import hdrs, web

from broker.front.peer import is_secure, prefix_of


def cookie_of(request: web.Request, name: str) -> str:
    """The value of our cookie of this name; empty without one."""
    return next(iter(cookies_of(request, name)), "")


def cookies_of(request: web.Request, name: str) -> list[str]:
    """The values of all cookies of this name: who also came by another path or port has one of each."""
    pairs = (pair.partition("=") for pair in "; ".join(request.headers.getall(hdrs.COOKIE, ())).split(";"))
    return [value.strip() for found, _, value in pairs if found.strip() == name]


def set_cookie(request: web.Request, response: web.Response, name: str, value: str, seconds: float) -> None:
    """Have the browser keep a secret of ours, from scripts and from requests that other sites make."""
    # Lax: a link to a camera from elsewhere works, a request that another site makes brings no cookie.
    response.set_cookie(
        name,
        value,
        max_age=int(seconds),
        path=_path(request),
        httponly=True,
        samesite="Lax",
        secure=is_secure(request),
    )


def forget_cookie(request: web.Request, response: web.Response, name: str) -> None:
    """Have the browser keep it no longer."""
    response.del_cookie(name, path=_path(request))


def _path(request: web.Request) -> str:
    return prefix_of(request) or "/"
