"""Watching by Media Source Extensions: a WebSocket of the page's own port, for viewers that no media reaches otherwise.

``GET /mse/{camera}?codecs=H264,AAC`` names the codecs that the browser's MSE takes, and as WHEP's address it takes
``stream``, ``height`` and ``token`` and is open to pages of every origin. What is refused is refused before the
handshake is answered, and to pages, which are told nothing else, by a message (``broker.front.refusals``). From the
server come

* text ``{"type": "hello", "session", "kinds"}``: the session's name, and the kinds of media that will come;
* text ``{"type": "track", "kind", "codec"}``: the next segment of that kind is an initialization segment;
* binary: a byte that says of which kind it is, 0 for ``video`` and 1 for ``audio``, and a segment of fragmented MP4.

A page may send the text ``restart``: all of it comes once more, from the newest keyframe on.

This process carries no media. It authorizes, has an egress accept the viewer, and hands it the connection itself
(``broker.front.handing``). Only where the connection is TLS, which ends here, or the egress is on another machine does
it stay, and its bytes are passed on.

The handshake is answered here, once there is a way to the egress, and not by the egress: what comes behind a 101 is no
HTTP to any proxy in between. An egress that answered as it likes could have a proxy take the connection for one of
HTTP, and lead other people's requests to it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from broker.front.connections import Connection
from broker.front.context import CONTEXT, Context
from broker.front.gate import principal_of
from broker.front.handing import beside, elsewhere, give
from broker.front.offers import ask, parse_wish
from broker.front.peer import address_of
from broker.front.tunnel import Tunnel
from broker.front.upgrade import check_upgrade
from common.cameras import CameraName
from common.errors import ProtocolError, RequestError
from common.handover import Doors, Handover

MAX_CODECS = 16  # that a page may name …
MAX_CODEC = 32  # … and characters of each
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_FAILED = "The connection could not be handed over to the process that was to serve it; try again in a moment."


class HandedOver(web.StreamResponse):
    """The response to a request whose connection is somebody else's: nothing is sent."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """See ``StreamResponse``."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """See ``StreamResponse``."""


async def watch(request: web.Request) -> web.StreamResponse:
    """A viewer comes. Raises ``RequestError`` if it cannot, or its request is no WebSocket's."""
    check_upgrade(request, web.WebSocketResponse())
    codecs = _codecs(request.query.get("codecs", ""))
    context, camera = request.app[CONTEXT], CameraName(request.match_info["camera"])
    wish = parse_wish(request.query.get("stream"), request.query.get("height"))
    principal = principal_of(request)
    answer = await ask(context, principal, address_of(request), camera, "", wish, codecs)
    handover, handshake = Handover(answer.session, _remote(request), b""), Handshake(request)
    try:
        await _hand_over(request, context, Doors.parse(answer.sdp), handover, handshake)
    except (OSError, ProtocolError) as exc:
        context.control.hang_up(answer.session)
        context.counters["handovers_failed"] += 1
        context.quiet.warning("connection cannot be handed over", reason=str(exc), camera=camera)
        if not handshake.answered:
            raise RequestError(503, "not_handed_over", _FAILED) from None
    request.protocol.force_close()  # our end of it: the egress has another, or it is over
    return HandedOver()


class Handshake:
    """The answer to a WebSocket's handshake (RFC 6455 4.2.2)."""

    def __init__(self, request: web.Request) -> None:
        self.answered = False  # at least in part: nothing else can be said
        self._head = _head(request)

    def write(self, transport: asyncio.Transport) -> None:
        """Answer it on a connection that stays."""
        if not self.answered:
            self.answered = True
            transport.write(self._head)

    def send(self, transport: asyncio.Transport) -> None:
        """Answer it on a connection that goes on without ``transport``, at once. Raises ``OSError``."""
        if transport.get_write_buffer_size():  # of an answer before this one
            raise BlockingIOError("the viewer takes nothing")
        self.answered = True
        if os.write(transport.get_extra_info("socket").fileno(), self._head) < len(self._head):
            raise BlockingIOError("the viewer takes nothing")


async def _hand_over(
    request: web.Request, context: Context, doors: Doors, handover: Handover, handshake: Handshake
) -> None:
    """Give the connection away, or pass it on until it ends. Raises ``OSError`` if neither can be begun."""
    transport, connection = request.transport, request.protocol
    if transport is None:
        raise ConnectionResetError("the viewer has gone")
    assert isinstance(connection, Connection), "the front door makes no others"
    encrypted = transport.get_extra_info("ssl_object") is not None
    try:
        if not encrypted:
            descriptor = transport.get_extra_info("socket").fileno()
            give(doors.local, handover, descriptor, lambda: handshake.send(transport))
            return
        way = await beside(doors.local, handover)
    except (ConnectionRefusedError, PermissionError):  # it is on another machine, or another user's
        way = await elsewhere(doors, handover)
    handshake.write(transport)
    context.counters["tunnels"] += 1
    await Tunnel(connection, transport, *way).run()


def _codecs(text: str) -> tuple[str, ...]:
    codecs = tuple(dict.fromkeys(filter(None, text.split(","))))
    if not 0 < len(codecs) <= MAX_CODECS or max(map(len, codecs)) > MAX_CODEC:
        message = "Name the codecs that the browser can play, such as ?codecs=H264,AAC."
        raise RequestError(400, "invalid_codecs", message)
    return codecs


def _head(request: web.Request) -> bytes:
    key = request.headers[hdrs.SEC_WEBSOCKET_KEY].encode() + _GUID
    accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n"
    )


def _remote(request: web.Request) -> str:
    """The browser's address as people write it; the port is the proxy's if there is one."""
    host = address_of(request) or ""
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if host != request.remote or not peer:
        return host
    return f"[{host}]:{peer[1]}" if ":" in host else f"{host}:{peer[1]}"
