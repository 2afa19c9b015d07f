"""Events of a WHEP session, server-sent: the extension of draft-ietf-wish-whep, section 4.6.1.

The answer to an offer names its address in a ``Link``. A player subscribes by POST with a JSON array of the events that
it wants, and reads them at the ``Location`` of the answer; some read at once, which is as good. There is one event:
``reconnect``, whose data is ``{"reconnect": URL}``, the address to send a new offer to. It comes some seconds before
the session's egress ends, which gives time for a new session before the old one is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from aiohttp import hdrs, web

from broker.control_plane import ControlPlane
from broker.director.events import EndReason
from broker.front.backlog import Outgoing
from broker.front.bodies import read_text
from broker.front.context import CONTEXT
from broker.front.event_stream import BLANK, HEADERS, write_events
from broker.front.hub import HUB
from broker.front.offers import check_socket
from broker.front.peer import address_of, path_of, prefix_of
from broker.front.strict_json import parse_json
from common.control import Role
from common.errors import RequestError
from common.sessions import SessionName

RELATION = "urn:ietf:params:whep:ext:core:server-sent-events"
EVENTS = ("reconnect",)
FAREWELL = 1.0  # seconds for a player to take the last event …
ANOTHER_WITHIN = 10.0  # … and for an egress to be there that would take its new offer: most players try once
_AGAIN = {
    EndReason.MISSING,
    EndReason.WORKER_STOPPED,
    EndReason.WORKER_LOST,
    EndReason.WORKER_RESTARTED,
}
"""Reasons for which a session is over whose player is welcome: they are ours."""


class SessionEvents:
    """One player that reads the events of its session, whose owner it is to the hub."""

    def __init__(self, endpoint: str, outgoing: Outgoing) -> None:
        self.over = asyncio.Event()
        self._endpoint = endpoint
        self._outgoing = outgoing

    def disown(self, session: SessionName) -> None:
        """Stop: the session is over, or somebody else reads its events."""
        self.over.set()

    def tell(self, type: str, **fields: Any) -> None:
        """Send an event without waiting, where there is one for it."""
        if type == "renew" or (type == "close" and fields.get("reason") in _AGAIN):
            self._outgoing.push(f"event: reconnect\ndata: {json.dumps({'reconnect': self._endpoint})}\n\n")


def prepare(app: web.Application) -> None:
    """Have events end when the application stops."""
    app.on_shutdown.append(_end_all)


def link(session: str, query: str) -> str:
    """The ``Link`` that names the address of the events of the session at that path."""
    return f'<{session}/events{query}>; rel="{RELATION}"; events="{",".join(EVENTS)}"'


async def subscribe(request: web.Request) -> web.Response:
    """A player says which events it wants. Raises ``RequestError``."""
    _check_session(request)
    try:
        wanted = parse_json(await read_text(request))
    except ValueError as exc:
        raise RequestError(400, "not_json", f"The body {exc}.") from None
    if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
        raise RequestError(400, "invalid_events", f"The body must be a JSON array of events; there is {EVENTS[0]}.")
    return web.Response(status=201, headers={"Location": _address(request)})


async def unsubscribe(request: web.Request) -> web.Response:
    """A player wants no more events."""
    session = _check_session(request)
    if (owner := request.app[HUB].owners.get(session)) is not None and isinstance(owner, SessionEvents):
        owner.disown(session)
    return web.Response(status=200)


async def events(request: web.Request) -> web.StreamResponse:
    """Tell of a session until it is over or its player goes. Raises ``RequestError``."""
    context, hub = request.app[CONTEXT], request.app[HUB]
    session = _check_session(request)
    response = web.StreamResponse(headers=HEADERS)
    if request.method == hdrs.METH_HEAD:
        return response
    address = context.quotas.address(address_of(request))
    check_socket(context, address)
    outgoing = Outgoing(hub.backlog, context, request.transport)
    endpoint = _address(request).replace(f"/{session}/events", "", 1)
    reader = SessionEvents(endpoint, outgoing)
    context.quotas.sockets.open(address)
    try:
        await response.prepare(request)
        await response.write(BLANK)
        if (before := hub.owners.get(session)) is not None:
            before.disown(session)
        hub.owners[session] = reader
        session_of = context.control.director.session
        await write_events(request, response, outgoing, reader.over, lambda: session_of(session) is not None)
        if outgoing.messages:
            await _another_egress(context.control)
            await _write_last(response, outgoing)
    finally:
        if hub.owners.get(session) is reader:
            del hub.owners[session]
        outgoing.close()
        context.quotas.sockets.close(address)
    return response


async def _another_egress(control: ControlPlane) -> None:
    """Wait for an egress that takes viewers, but not for long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANOTHER_WITHIN):
            while not any(each.takes(Role.EGRESS) and not each.report.full for each in control.director.workers):
                await control.news()


async def _write_last(response: web.StreamResponse, outgoing: Outgoing) -> None:
    """Send what was said as the session ended."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(FAREWELL):
            for event in tuple(outgoing.messages):
                await response.write(event.encode())


async def _end_all(app: web.Application) -> None:
    for owner in app[HUB].owners.values():
        if isinstance(owner, SessionEvents):
            owner.over.set()


def _check_session(request: web.Request) -> SessionName:
    name = SessionName(request.match_info["session"])
    if request.app[CONTEXT].control.director.session(name) is None:
        raise RequestError(404, "unknown_session", "There is no such session; it may have ended.")
    return name


def _address(request: web.Request) -> str:
    """The address that was asked for, as whoever asked knows it."""
    query = request.rel_url.raw_query_string
    return prefix_of(request) + path_of(request) + (f"?{query}" if query else "")
