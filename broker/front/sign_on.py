"""Single sign-on: the way to the provider, and the way back (``broker.access.oidc`` says what happens there)."""

from __future__ import annotations

import re
from functools import partial

from aiohttp import hdrs, web

from broker.access.oidc import ATTEMPT_SECONDS, Identity, SignOn
from broker.access.signed import plain_name
from broker.front.account import ACCOUNT, people_of, refused_sign_in
from broker.front.context import CONTEXT
from broker.front.cookies import cookie_of, forget_cookie, set_cookie
from broker.front.gate import COOKIE
from broker.front.peer import address_of, host_of, is_secure, prefix_of
from common.errors import RequestError

SIGN_ON = "camshaft_sign_on"  # the cookie of a browser that is at the provider
_OUR_PAGE = re.compile(r"(?![./])[A-Za-z0-9._~/%?&=-]{0,500}")  # relative, without a scheme: a page of ours


async def start(request: web.Request) -> web.Response:
    """Send a browser to the provider of sign-in. Raises ``RequestError``."""
    provider = _provider(request)
    scheme = "https" if is_secure(request) else "http"
    redirect = f"{scheme}://{host_of(request)}{prefix_of(request)}/sign-in/callback"
    wanted = request.query.get("next", "")
    address, cookie = await provider.begin(redirect, wanted if _OUR_PAGE.fullmatch(wanted) else "")
    response = web.Response(status=303, headers={hdrs.LOCATION: address, hdrs.CACHE_CONTROL: "no-store"})
    set_cookie(request, response, SIGN_ON, cookie, ATTEMPT_SECONDS)
    return response


async def callback(request: web.Request) -> web.Response:
    """A browser comes back from the provider of sign-in: it is signed in, and sent to the page that it wanted.

    Raises ``RequestError``.
    """
    context, provider = request.app[CONTEXT], _provider(request)
    try:
        identity, way_back = await _finished(request, provider)
    except RequestError as exc:
        raise refused_sign_in(request, exc, "") from None
    now = context.desk.now
    expires = now + context.desk.login_seconds
    sign_in = partial(people_of(request).sign_in, identity.name, identity.groups, now=now, expires=expires)
    login = await request.app[ACCOUNT].written(sign_in)
    context.audit.info("signed in", about=address_of(request) or "", user=identity.name, address=address_of(request))
    headers = {hdrs.LOCATION: f"../{way_back}", hdrs.CACHE_CONTROL: "no-store"}
    response = web.Response(status=303, headers=headers)
    set_cookie(request, response, COOKIE, login, context.desk.login_seconds)
    forget_cookie(request, response, SIGN_ON)
    return response


async def _finished(request: web.Request, provider: SignOn) -> tuple[Identity, str]:
    if reason := request.query.get("error"):
        raise RequestError(403, "sign_on_refused", f"The sign-in provider refused: {plain_name(reason)}.")
    state, code, issuer = (request.query.get(name, "") for name in ("state", "code", "iss"))
    return await provider.finish(state, cookie_of(request, SIGN_ON), code, issuer)


def _provider(request: web.Request) -> SignOn:
    provider = request.app[CONTEXT].sign_on
    if provider is None:
        raise RequestError(404, "no_sign_on", "Single sign-on is not set up here (oidc.issuer).")
    return provider
