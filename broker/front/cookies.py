"""Cookies of ours, kept to the path that a reverse proxy has us below: what else is on the host gets none of them.

Two servers below one host, one of them below a path of the other's, have cookies of the same names. A browser sends
that of the longer path first (RFC 6265 5.4), so the first of a name is ours.

Any host of the same domain, and whoever answers for ours by plain HTTP, can have a browser send us cookies: those of a
sign-in of its own, so that what somebody does here is done as somebody else. Where the browser asked by TLS their names
begin so that it takes them from us alone (RFC 6265bis 4.1.3): ``__Host-``, or below a path ``__Secure-``, which keeps
out at least what is not TLS.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import hdrs, web

from broker.front.peer import is_secure, prefix_of

_GUARDED = _OF_HOST, _OF_PATH = "__Host-", "__Secure-"


def cookie_of(request: web.Request, name: str) -> str:
    """The value of our cookie of this name; empty without one.

    One that a browser takes by TLS alone is no less ours where a proxy does not say that this request came so.
    """
    sent = list(_sent(request))
    wanted = (_guarded(request, name),) if is_secure(request) else (_guarded(request, name), name)
    return next((value for called in wanted for found, value in sent if found == called), "")


def cookies_of(request: web.Request, name: str) -> list[str]:
    """The values of all cookies of this name: who also came by another path or port, or by TLS, has one of each."""
    return [value for found, value in _sent(request) if found in (name, *(f"{each}{name}" for each in _GUARDED))]


def set_cookie(request: web.Request, response: web.Response, name: str, value: str, seconds: float) -> None:
    """Have the browser keep a secret of ours, from scripts and from requests that other sites make."""
    # Lax: a link to a camera from elsewhere works, a request that another site makes brings no cookie.
    response.set_cookie(
        _called(request, name),
        value,
        max_age=int(seconds),
        path=_path(request),
        httponly=True,
        samesite="Lax",
        secure=is_secure(request),
    )


def forget_cookie(request: web.Request, response: web.Response, name: str) -> None:
    """Have the browser keep it no longer."""
    response.del_cookie(_called(request, name), path=_path(request), secure=is_secure(request))


def _sent(request: web.Request) -> Iterator[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in "; ".join(request.headers.getall(hdrs.COOKIE, ())).split(";"))
    return ((name.strip(), value.strip()) for name, _, value in pairs)


def _called(request: web.Request, name: str) -> str:
    """The name by which a browser has a cookie of ours."""
    return _guarded(request, name) if is_secure(request) else name


def _guarded(request: web.Request, name: str) -> str:
    return f"{_OF_PATH if prefix_of(request) else _OF_HOST}{name}"


def _path(request: web.Request) -> str:
    return prefix_of(request) or "/"
