"""The pages and what they load, from memory. No inline script, no foreign host: the policy says so to browsers.

All addresses in them are relative, so that they also work below a path of a reverse proxy. The one style sheet that a
script may make is the player's own, allowed by its hash, for browsers without ``adoptedStyleSheets``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import hdrs, web

from broker.front.context import CONTEXT
from broker.front.peer import path_of
from common.cameras import CameraName

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' '{style}'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)
_PERMISSIONS = "camera=(), microphone=()"  # they use neither; with a right to either, see realm.js
_PLAYER_STYLE = re.compile(rb"const STYLE = `([^`]*)`;")
_WEB = Path(__file__).parents[1] / "web"
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of ``broker/web``."""

    body: bytes
    content_type: str
    entity_tag: str

    def response(
        self, request: web.Request, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> web.Response:
        """The file, or 304 if the browser has it."""
        headers = {hdrs.ETAG: f'"{self.entity_tag}"', hdrs.CACHE_CONTROL: "no-cache"} | (headers or {})
        if any(tag.value in (self.entity_tag, "*") for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        charset = None if self.content_type.startswith("image/") else "utf-8"
        return web.Response(
            status=status, body=self.body, content_type=self.content_type, charset=charset, headers=headers
        )


ASSETS = web.AppKey("assets", dict[str, Asset])


def prepare(app: web.Application) -> None:
    """Load the pages into the application."""
    app[ASSETS] = load_assets()


def load_assets() -> dict[str, Asset]:
    """All files of ``broker/web`` by name."""
    assets = {}
    for file in _WEB.iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in _TYPES:
            body = file.read_bytes()
            assets[file.name] = Asset(body, _TYPES[suffix], hashlib.sha256(body).hexdigest()[:16])
    return assets


async def index(request: web.Request) -> web.Response:
    """The list of cameras. It may not be framed: another site could lure clicks into it."""
    return _own(request, "index.html")


async def watch(request: web.Request) -> web.Response:
    """One camera. It changes nothing, so it may be framed by a dashboard."""
    known = request.app[CONTEXT].control.catalogue.get(CameraName(request.match_info["camera"])) is not None
    headers = _policies(request, "*")
    return request.app[ASSETS]["watch.html"].response(request, status=200 if known else 404, headers=headers)


async def sign_in(request: web.Request) -> web.Response:
    """The form to sign in with. It may not be framed."""
    return _own(request, "sign-in.html")


async def account(request: web.Request) -> web.Response:
    """The account of somebody who is signed in, and for an admin the users. It may not be framed."""
    return _own(request, "account.html")


async def docs(request: web.Request) -> web.Response:
    """The API for people, made in the browser of what programs read."""
    return _own(request, "docs.html")


async def to_base(request: web.Request) -> web.Response:
    """Send a browser from our path to the same with a slash, from which relative addresses lead to what is below."""
    last = request.rel_url.raw_path.rpartition("/")[2]
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    return web.Response(status=307, headers={hdrs.LOCATION: f"{last}/{query}"})


def to_sign_in(request: web.Request) -> web.Response:
    """Send a browser from a page to the form, which knows the way back. Relative, as all addresses of pages."""
    path, asked = path_of(request).removeprefix("/"), request.rel_url.raw_query_string
    back = f"{path}?{asked}" if asked else path
    query = f"?{urlencode({'next': back})}" if back else ""
    headers = {hdrs.LOCATION: f"{'../' * path.count('/')}sign-in{query}", hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(status=303, headers=headers)


async def static(request: web.Request) -> web.Response:
    """A script or a style sheet, which pages of other origins may load, too. Raises ``HTTPNotFound``."""
    asset = request.app[ASSETS].get(request.match_info["name"])
    if asset is None or asset.content_type == "text/html":
        raise web.HTTPNotFound
    headers = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
    return asset.response(request, headers=headers)


def _own(request: web.Request, name: str) -> web.Response:
    headers = _policies(request, "'none'") | {"X-Frame-Options": "DENY"}
    return request.app[ASSETS][name].response(request, headers=headers)


def _policies(request: web.Request, ancestors: str) -> dict[str, str]:
    found = _PLAYER_STYLE.search(request.app[ASSETS]["look.js"].body)
    assert found is not None, "look.js has the player's style"
    digest = base64.b64encode(hashlib.sha256(found[1]).digest()).decode()
    policy = _POLICY.format(style=f"sha256-{digest}", ancestors=ancestors)
    return {"Content-Security-Policy": policy, "Permissions-Policy": _PERMISSIONS}
