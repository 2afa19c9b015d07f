"""WebSocket signalling: many viewers' sessions over one socket, each message one JSON object with a ``type``.

From the page: ``offer`` {camera, sdp, id?, stream?, height?}, ``show`` {session, stream?, height?}, ``candidate``
{session, candidate}, ``restart`` {session, fragment, id?}, ``close`` {session}, ``attach`` {session}, ``report``
{session, …}, ``subscribe``, ``ice_servers``, ``ping``. ``stream`` is ``main``, ``sub`` or ``auto``, the default;
``height`` is that of the picture on the screen in pixels, by which ``auto`` chooses. ``fragment`` is an ICE fragment of
SDP (RFC 8840) that asks for an ICE restart.

To the page: ``answer`` {session, camera, sdp, id?}, ``candidate`` {session, candidate}, ``restarted`` {session,
fragment, id?}, ``close`` {session, reason, sentence}, ``renew`` {session, camera} (its egress is about to end: make a
new session, and close this one when that has a picture), ``attached`` {session, camera}, ``camera`` {camera, state,
sentence, detail, failed, video, sound, for_all}, ``cameras`` {cameras}, ``removed`` {camera}, ``ice_servers``
{servers}, ``pong``, ``error`` {code, message} and whichever of ``id``, ``session`` and ``camera`` it is about.

* A session belongs to the socket that made it, or that attached to it last: to know its id is to own it.
* Sessions end with their socket if the page closes it, not if the connection breaks, the broker stops, or the page
  closes with code 4000: then media goes on, and the page attaches to its sessions over a new socket. If it never does,
  ICE consent ends them.
* A page hears of the state of the cameras it has sessions of; after ``subscribe``, of all that it may watch.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from broker.access.principal import Principal
from broker.director.events import EndReason
from broker.front.backlog import Outgoing
from broker.front.connections import Connection
from broker.front.context import CONTEXT, Context
from broker.front.gate import check_camera_here, principal_of
from broker.front.hub import HUB, Hub, encode, of_camera
from broker.front.message_rate import MessageRate, is_gone
from broker.front.offers import ask, check_socket, parse_wish
from broker.front.paced import Paced
from broker.front.page_messages import (
    MAX_ID,
    MAX_MESSAGE,
    Attach,
    Candidate,
    Close,
    NameIceServers,
    Offer,
    Ping,
    Report,
    Restart,
    Show,
    Subscribe,
    read,
)
from broker.front.peer import address_of
from broker.front.sdpfrag import check_fragment, credentials_of
from broker.front.upgrade import check_upgrade
from broker.front.views import camera_summary
from broker.why.evidence import PageReport
from common.cameras import CameraName, split_stream
from common.errors import RequestError
from common.sessions import SessionName

HEARTBEAT = 15.0  # seconds between pings: proxies cut what is silent for a minute
CLOSE_TIMEOUT = 0.5  # seconds for a page to answer our close
FAREWELL_TIMEOUT = 1.0  # seconds for our close to be sent and answered: a page that reads nothing takes none
MAX_FRAME = 2 * MAX_MESSAGE  # bytes: beyond it the socket is closed; what is only over MAX_MESSAGE gets an error
MAX_SESSIONS = 256  # of one socket, those being made included: a large wall of cameras
SUBSCRIBE_INTERVAL = 1.0  # seconds
SESSIONS_STAY = 4000  # close code of a page that gives up a connection it takes for dead, and will attach over another
TOO_MANY = "Too many messages at once (limits.message_rate is {:g}); slow down."
SERVICE_RESTART = 1012  # close code (IANA WebSocket registry): come back
POLICY_VIOLATION = 1008  # close code (RFC 6455 7.4.1)


def prepare(app: web.Application) -> None:
    """Have sockets closed when the application stops."""
    app.on_shutdown.append(_close_all)


async def connect(request: web.Request) -> web.WebSocketResponse:
    """A page connects. Raises ``RequestError`` for a request that is no WebSocket's, or one too many."""
    context, hub = request.app[CONTEXT], request.app[HUB]
    response = web.WebSocketResponse(
        heartbeat=HEARTBEAT,
        timeout=CLOSE_TIMEOUT,
        max_msg_size=MAX_FRAME,
        compress=False,
        autoping=False,  # pings are counted as messages are: all that are there would be answered at once
    )
    check_upgrade(request, response)
    address = context.quotas.address(address_of(request))
    check_socket(context, address)
    context.quotas.sockets.open(address)
    try:
        await Socket(hub, context, principal_of(request), request, response).serve()
    finally:
        context.quotas.sockets.close(address)
    return response


class Socket:
    """One page's connection."""

    def __init__(
        self,
        hub: Hub,
        context: Context,
        principal: Principal,
        request: web.Request,
        response: web.WebSocketResponse,
    ) -> None:
        self.subscribed = False
        self.principal = principal  # by whom it was opened
        self._request = request
        self._response = response
        self._transport = request.transport
        self._hub = hub
        self._context = context
        self._control = context.control
        self._outgoing = Outgoing(hub.backlog, context, request.transport)
        self._paced = Paced(request.transport, self._outgoing.hold)
        self._peer = address_of(request)
        self._address = context.quotas.address(self._peer)
        self._sessions: dict[SessionName, CameraName] = {}  # session to camera
        self._requests: set[asyncio.Task[None]] = set()  # offers and attachments under way
        self._messages = MessageRate(context.quotas.limits.message_rate)
        self._subscribe_at = 0.0

    async def serve(self) -> None:
        """Answer the handshake, handle messages until the socket closes, and end what ends with it."""
        closed_by_page = False
        try:
            await _begin(self._request, self._response, self._paced)
            self._hub.listeners.add(self)
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._outgoing.write(self._response.send_str))
                closed_by_page = await self._read(tasks)
                for task in (writer, *self._requests):
                    task.cancel()  # an offer that is cancelled ends its session
        finally:
            self._hub.listeners.discard(self)
            self._paced.close()
            self._outgoing.close()
            for session in list(self._sessions):
                self.disown(session)
                if closed_by_page:
                    self._control.hang_up(session)

    def tell(self, type: str, **fields: Any) -> None:
        """Send a message without waiting."""
        self.push(encode(type, **fields))

    def push(self, message: str) -> None:
        """Send an encoded message without waiting. A page that does not read its messages is cut off."""
        self._outgoing.push(message)

    def disown(self, session: SessionName) -> None:
        """Forget a session that is over, or another socket's now."""
        self._sessions.pop(session, None)
        if self._hub.owners.get(session) is self:
            del self._hub.owners[session]

    async def leave(self, code: int, reason: str) -> None:
        """Close the socket with this code, in bounded time whether or not the page reads what it is sent."""
        await _leave(self._response, self._transport, code, reason)

    def watches(self, camera: CameraName) -> bool:
        """Whether the page wants to hear of this camera."""
        return (self.subscribed and self.principal.may_watch(camera)) or camera in self._sessions.values()

    async def _read(self, tasks: asyncio.TaskGroup) -> bool:
        """Handle messages until the socket closes; whether the page closed it."""
        while True:
            message = await self._response.receive()
            self._paced.handled()
            if message.type is WSMsgType.CLOSE:
                return bool(message.data != SESSIONS_STAY)
            if message.type is WSMsgType.ERROR:
                self._context.counters["ws_broken"] += 1
            if message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
                return False
            pause = 0.0  # for others: frames that are there already are returned at once
            if not self._messages.take(now := self._context.clock()):
                if is_gone(self._transport) or await _flooded(self, self._messages, self._context, now):
                    return False
                self._garbage("rate_limited", TOO_MANY.format(self._messages.rate))
                pause = self._messages.pause
            elif message.type is WSMsgType.PING:
                await _answer(message, self._response)
            elif message.type is not WSMsgType.PONG:
                self._receive(message.data, tasks)
            await asyncio.sleep(pause)

    def _receive(self, data: str | bytes, tasks: asyncio.TaskGroup) -> None:
        try:
            message = read(data)
        except RequestError as exc:
            self._garbage(exc.code, exc.message)
            return
        match message:
            case Offer(camera, _, _, about):
                self._start(tasks, self._offer(message), {**about, "camera": camera})
            case Show(session):
                if self._owns(session):
                    self._shows(message)
            case Candidate(session):
                self._owns(session)  # else an error
            case Restart():
                self._start(tasks, self._restart(message), message.about, more=False)
            case Close(session):
                if self._owns(session):
                    self.disown(session)
                    self._control.hang_up(session)
            case Report(session, said):
                if self._owns(session):
                    self._control.clerk.cases.told(session, PageReport.parse(said))
            case Attach(session):
                more = session not in self._sessions  # a page may ask for one of its own at any time
                self._start(tasks, self._attach(session), {"session": session}, more=more)
            case Subscribe():
                self._subscribe()
            case NameIceServers():
                self.tell("ice_servers", servers=_ice_servers(self._context, self.principal, self._address))
            case Ping():
                self.tell("pong")

    def _start(
        self,
        tasks: asyncio.TaskGroup,
        request: Coroutine[Any, Any, None],
        about: Mapping[str, Any],
        *,
        more: bool = True,
    ) -> None:
        if more and len(self._sessions) + len(self._requests) >= MAX_SESSIONS:
            request.close()
            self._garbage("too_many_sessions", f"One socket holds {MAX_SESSIONS} sessions at most.", **about)
            return
        task = tasks.create_task(request)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _offer(self, offer: Offer) -> None:
        camera, about = offer.camera, offer.about
        try:
            check_camera_here(self._context, self.principal, self._peer, camera, "offer")
            answer = await ask(self._context, self.principal, self._peer, camera, offer.sdp, parse_wish(*offer.wish))
        except RequestError as exc:
            self._error(exc.code, exc.message, camera=camera[:MAX_ID], **about)
            return
        self._own(answer.session, camera)
        self.tell("answer", session=answer.session, camera=camera, sdp=answer.sdp, **about)
        self.tell("candidate", session=answer.session, candidate="")  # the answer has them all
        self._show(answer.session, camera)

    async def _restart(self, restart: Restart) -> None:
        session, about = restart.session, restart.about
        try:
            check_fragment(restart.fragment)
            await self._control.find(session)  # which a new broker may have yet to hear of
            restarted = await self._control.restart_ice(session, *credentials_of(restart.fragment))
        except RequestError as exc:
            self._error(exc.code, exc.message, session=session[:MAX_ID], **about)
            return
        self.tell("restarted", session=session, fragment=restarted.fragment, **about)

    def _shows(self, show: Show) -> None:
        try:
            self._control.shows(show.session, parse_wish(*show.wish))
        except RequestError as exc:
            self._garbage(exc.code, exc.message, session=show.session)

    async def _attach(self, session: SessionName) -> None:
        try:
            camera = await _attachable(self._context, self.principal, self._peer, session)
        except RequestError as exc:
            self._error(exc.code, exc.message, session=session[:MAX_ID])
            return
        self._own(session, camera)
        self.tell("attached", session=session, camera=camera)
        self._show(session, camera)

    def _show(self, session: SessionName, camera: CameraName) -> None:
        """Tell how the camera is, unless the session ended while its answer was on its way here."""
        status, entry = self._control.director.camera(camera), self._control.catalogue.get(camera)
        if status is None or entry is None or self._control.director.session(session) is None:
            self.disown(session)
            reason = EndReason.MEANWHILE
            self.tell("close", session=session, reason=reason, sentence=reason.sentence)
        else:
            summary = camera_summary(entry, status)
            self.push(of_camera(summary, admin=self.principal.is_admin))

    def _subscribe(self) -> None:
        now = self._context.clock()
        if now < self._subscribe_at:  # the answer is the largest there is, for the shortest question
            self._garbage("rate_limited", f"No more than one subscribe in {SUBSCRIBE_INTERVAL:.0f} s.")
            return
        self._subscribe_at = now + SUBSCRIBE_INTERVAL
        self.subscribed = True
        self.push(self._hub.list_for(self.principal))

    def _own(self, session: SessionName, camera: CameraName) -> None:
        if (before := self._hub.owners.get(session)) is not None:
            before.disown(session)
        self._hub.owners[session] = self
        self._sessions[session] = camera

    def _owns(self, session: SessionName) -> bool:
        if session not in self._sessions:
            told = "This socket has no such session; it may have ended."
            self._error("unknown_session", told, session=session[:MAX_ID])
        return session in self._sessions

    def _garbage(self, code: str, message: str, **about: Any) -> None:
        self._context.counters[f"ws_{code}"] += 1
        self._error(code, message, **about)

    def _error(self, code: str, message: str, **about: Any) -> None:
        self.tell("error", code=code, message=message, **about)


async def _begin(request: web.Request, response: web.WebSocketResponse, paced: Paced) -> None:
    """Answer the handshake. What comes behind it is handed on by ``paced``."""
    assert isinstance(request.protocol, Connection), "the front door makes no others"
    request.protocol.pace(paced)
    await response.prepare(request)


async def _leave(response: web.WebSocketResponse, transport: asyncio.Transport | None, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(FAREWELL_TIMEOUT):
            await response.close(code=code, message=reason.encode())
    except TimeoutError:
        if transport is not None:
            transport.abort()


async def _attachable(context: Context, principal: Principal, address: str | None, session: SessionName) -> CameraName:
    """The camera of a session that this principal may have. Raises ``RequestError``."""
    status = await context.control.find(session)
    if status is None or not status.answered:
        raise RequestError(404, "unknown_session", "There is no such session; it may have ended.")
    camera, _ = split_stream(status.camera)
    check_camera_here(context, principal, address, camera, "attach")
    return camera


def _ice_servers(context: Context, principal: Principal, address: str | None) -> list[dict[str, str]]:
    """The STUN and TURN servers that a page of ours is told of."""
    told = context.ice_servers.told(principal, address, ours=True, now=context.desk.now)
    return [server.entry for server in told]


async def _flooded(socket: Socket, messages: MessageRate, context: Context, now: float) -> bool:
    """Whether the page says too much for too long; then it is told to go."""
    if exhausted := messages.exhausted(now):
        context.counters["ws_flood"] += 1
        await socket.leave(POLICY_VIOLATION, "rate_limited")
    return exhausted


async def _answer(ping: WSMessage, response: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError):
        await response.pong(ping.data)


async def _close_all(app: web.Application) -> None:
    await asyncio.gather(*(listener.leave(SERVICE_RESTART, "restart") for listener in app[HUB].listeners))
