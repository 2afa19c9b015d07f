"""The broker's end of the control plane: the director, connected to the workers and to the clock.

Everything happens in callbacks of one event loop. People's side of the broker (WHEP, WebSocket, REST) talks to the
workers through this class alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

import zmq

from broker.catalogue import Catalogue
from broker.director import Director
from broker.director.events import (
    CameraChanged,
    CameraRemoved,
    CamerasWanted,
    Command,
    Event,
    FromWorker,
    NodeNameTwice,
    Notice,
    OfferAnswered,
    OfferRefused,
    RememberTracks,
    RememberWorker,
    Send,
    SessionEnded,
    SessionStatus,
    Tick,
    Undelivered,
    ViewerLeft,
    ViewerOffered,
    ViewerTrickled,
    WorkerJoined,
    WorkerLost,
)
from broker.keyring import Keyring
from broker.stream_keys import current_key, with_keys
from broker.unauthenticated import Unauthenticated
from common.bus import Channel, Domain, Endpoints, Keys, bind, open_socket
from common.config import LimitsConfig
from common.control import KeyWanted, Ping, Report, Role, ToBroker, ToWorker, decode_for_broker, encode
from common.errors import ProtocolError, RequestError
from common.log import LINES_A_MINUTE, Quiet, get_logger
from common.sessions import new_session, public_name

TICK_INTERVAL = 0.25  # seconds
STALLED_AFTER = 1.0  # seconds between two ticks: the machine, or somebody with a debugger, held this process
STATES_LOGGED = 60  # lines a minute about one camera: that of one pulled on demand changes as viewers like

log = get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a viewer's offer came to."""

    session: str
    sdp: str = field(repr=False)


class ControlPlane:
    """Async context manager. Raises ``AddressInUseError`` or ``ConfigError`` on entering.

    ``ingests`` is how many ingest workers are being started, if that is known. ``keyring`` says which worker has which
    key, where each has one.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        keys: Keys | None,
        catalogue: Catalogue,
        clock: Callable[[], float] = time.monotonic,
        *,
        ingests: int | None = None,
        keyring: Keyring | None = None,
        limits: LimitsConfig = LimitsConfig(),  # noqa: B008  # frozen
    ) -> None:
        self.catalogue = catalogue
        self.director = Director(
            clock(),
            catalogue.specs,
            tracks=catalogue.tracks,
            last_workers=catalogue.last_workers,
            ingests=ingests,
            trusting=keyring is None,
            sessions_each=limits.egress_viewers,
        )
        self.counters: Counter[str] = Counter()
        self._context = context
        self._endpoints = endpoints
        self._keys = keys
        self._keyring = keyring
        self._routes: dict[str, tuple[bytes, str]] = {}  # node to its connection, and the key of that
        self._clock = clock
        self._ticked = clock()
        self._states = Quiet(log, clock, STATES_LOGGED)
        self._ends = Quiet(log, clock, LINES_A_MINUTE)
        self._channel: Channel | None = None
        self._unauthenticated: Unauthenticated | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._offers: dict[str, asyncio.Future[str]] = {}
        self._listeners: list[Callable[[Notice], None]] = []
        self._news = asyncio.Event()  # set, and replaced, whenever there may be some

    async def __aenter__(self) -> ControlPlane:
        socket = open_socket(self._context, zmq.ROUTER)
        try:
            domain = None if self._keyring is None else Domain.CONTROL
            bind(socket, self._endpoints.control, self._keys, "control plane", domain)
        except BaseException:
            socket.close(linger=0)
            raise
        self._unauthenticated = Unauthenticated(socket, self.counters, "control_strangers")
        if self._keyring is None:
            self._channel = Channel(socket, self._receive, multipart=True)
        else:
            self._channel = Channel(socket, self._receive_signed, signed=True)
        self._tick()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._timer is not None:
            self._timer.cancel()
        if self._channel is not None:
            self._channel.close()
        if self._unauthenticated is not None:
            self._unauthenticated.close()

    def stop(self) -> None:
        """Let nobody wait any longer. Sessions are left alone: they outlive the broker."""
        for future in self._offers.values():
            if not future.done():
                future.set_exception(RequestError(503, "stopping", "The broker is stopping; try again in a moment."))

    async def offer(self, camera: str, sdp: str) -> Answer:
        """Have a viewer's offer answered. Raises ``RequestError``; if cancelled, the session is ended."""
        session = new_session(sdp)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._offers[session] = future
        try:
            self._handle(ViewerOffered(session, camera, sdp))
            return Answer(session, await future)
        except asyncio.CancelledError:
            self._handle(ViewerLeft(session))
            raise
        finally:
            del self._offers[session]

    def trickle(self, session: str, candidate: str) -> None:
        """Pass on a viewer's ICE candidate (``candidate:…``); empty text ends them."""
        self._handle(ViewerTrickled(session, candidate))

    def hang_up(self, session: str) -> None:
        """End a viewer's session; one that is gone already is no error."""
        self._handle(ViewerLeft(session))

    async def find(self, session: str) -> SessionStatus | None:
        """A viewer's session. Right after a start its egress has yet to report it: then this waits a little."""
        while (status := self.director.session(session)) is None and self.director.may_appear(session):
            await self.news()
        return status

    async def news(self) -> None:
        """Wait until a worker has said something, or a moment has passed."""
        await self._news.wait()

    def cameras_changed(self) -> None:
        """The catalogue is another than before."""
        self._handle(CamerasWanted(self.catalogue.specs))

    @contextmanager
    def listening(self, listener: Callable[[Notice], None]) -> Iterator[None]:
        """While open, ``listener`` is called with every notice of the director's."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_INTERVAL, self._tick)
        now = self._clock()
        late, self._ticked = now - self._ticked > STALLED_AFTER, now
        if not late:  # else we stood still, and the reports that show who is alive are still to be read
            self._handle(Tick())
        for node in self._routes.keys() - {worker.node for worker in self.director.workers}:
            del self._routes[node]  # names that workers were given anew at each start
        self._states.sweep()
        self._ends.sweep()
        self._publish_news()

    def _receive(self, frames: list[bytes]) -> None:
        try:
            identity, payload = frames
            node, message = identity.decode(), decode_for_broker(payload)
        except (ValueError, ProtocolError) as exc:
            self.counters["control_garbage"] += 1
            log.debug("control message dropped", reason=str(exc))
            return
        self._hear(node, message)

    def _receive_signed(self, frames: list[zmq.Frame]) -> None:
        """Take a message where each worker has a key: that says which worker it is, whatever the message says."""
        assert self._keyring is not None
        member = self._keyring.member(str(frames[-1].get("User-Id")))
        if member is None:
            self.counters["control_revoked"] += 1
            return
        try:
            identity, payload = (frame.bytes for frame in frames)
            message = decode_for_broker(payload)
        except (ValueError, ProtocolError) as exc:
            self.counters["control_garbage"] += 1
            log.debug("control message dropped", reason=str(exc))
            return
        if isinstance(message, Report) and (message.node, message.role) != (member.node, member.role):
            self.counters["control_impostor"] += 1
            log.debug("control message dropped", reason="another worker's name or role", worker=member.node)
            return
        self._routes[member.node] = identity, member.key
        with contextlib.suppress(sqlite3.Error):  # a disk that is full must not silence a worker
            self._keyring.saw(member, time.time())
        if not isinstance(message, KeyWanted):
            self._hear(member.node, message)
        elif member.role is Role.EGRESS and (key := current_key(message.camera, self.director, self._keyring)):
            self._send(member.node, key)

    def _hear(self, node: str, message: ToBroker) -> None:
        if isinstance(message, Report) and message.partial:
            self.counters["reports_partial"] += 1
        self._handle(FromWorker(node, message))
        self._publish_news()

    def lives(self, node: str) -> bool:
        """Whether a worker of this name is at work: it was heard of, and its connection is there."""
        alive = any(worker.node == node and worker.alive for worker in self.director.workers)
        return alive and self._send(node, Ping())

    def _send(self, node: str, message: ToWorker) -> bool:
        """Hand a message to a worker's connection. ``False`` if there is none, or if no message can hold it."""
        try:
            frame = encode(message)
        except (TypeError, ValueError, OverflowError) as exc:
            self.counters["control_unsendable"] += 1
            log.warning("a message to a worker cannot be sent", worker=node, reason=type(exc).__name__)
            return False
        identity = node.encode()
        if self._keyring is not None:
            identity, key = self._routes.get(node, (b"", ""))
            member = self._keyring.member(key)
            if member is None or member.node != node:
                self._routes.pop(node, None)
                return False
        return self._channel is not None and self._channel.send(identity, frame)

    def _send_with_keys(self, node: str, message: ToWorker) -> bool:
        """Send a message, and before it the keys that it makes necessary. Whether the message itself was sent."""
        if self._keyring is None:
            return self._send(node, message)
        sent = [self._send(*each) for each in with_keys(node, message, self.director, self._keyring)]
        return sent[-1]

    def _publish_news(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _handle(self, event: Event) -> None:
        events = deque([event])
        while events:
            for command in self.director.handle(events.popleft(), self._clock()):
                if isinstance(command, Send):
                    if not self._send_with_keys(command.node, command.message):
                        self.counters["control_undelivered"] += 1
                        events.append(Undelivered(command.node, command.message))
                else:
                    self._perform(command)

    def _perform(self, command: Command) -> None:
        match command:
            case OfferAnswered(session, sdp):
                if (future := self._offers.get(session)) and not future.done():
                    future.set_result(sdp)
            case OfferRefused(session, status, code, message):
                if (future := self._offers.get(session)) and not future.done():
                    future.set_exception(RequestError(status, code, message))
            case RememberTracks(camera, tracks):
                self.catalogue.remember(camera, tracks=tracks)
            case RememberWorker(camera, node):
                self.catalogue.remember(camera, worker=node)
            case WorkerJoined(node, role):
                log.info("worker joined", worker=node, role=role.value)
            case WorkerLost(node, role, reason):
                log.warning("worker lost", worker=node, role=role.value, reason=reason)
            case NodeNameTwice(node, where):
                log.warning("two processes run under one --node name; give each its own", worker=node, processes=where)
            case CameraChanged() | CameraRemoved() | SessionEnded():
                self._notify(command)

    def _notify(self, notice: Notice) -> None:
        match notice:
            case CameraChanged(camera, state, detail):
                self._states.info("camera state", about=camera, camera=camera, state=state.value, detail=detail)
            case CameraRemoved(camera):
                log.info("camera removed", camera=camera)
            case SessionEnded(session, camera, reason):
                name = public_name(session)
                self._ends.info("session ended", session=name, camera=camera, reason=reason)
        for listener in list(self._listeners):
            listener(notice)
