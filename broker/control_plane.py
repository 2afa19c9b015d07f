"""The broker's end of the control plane: the director, connected to the workers and to the clock.

Everything happens in callbacks of one event loop. People's side of the broker (WHEP, WebSocket, REST) talks to the
workers through this class alone.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

import zmq

from broker.answers import Answer, Answers, Picture, Restarted
from broker.catalogue import Catalogue
from broker.control_socket import ControlSocket
from broker.director.commands import (
    CameraChanged,
    CameraRemoved,
    Command,
    NodeNameTwice,
    OfferAnswered,
    OfferRefused,
    RememberTracks,
    RememberWorker,
    RenewSession,
    RestartAnswered,
    RestartRefused,
    Send,
    SessionEnded,
    StillRefused,
    StillTaken,
    WireChanged,
    WorkerJoined,
    WorkerLost,
    WorkerUnfit,
)
from broker.director.director import Director
from broker.director.events import (
    CamerasWanted,
    DrainWorker,
    EndReason,
    EndSession,
    EvenOut,
    Event,
    FromWorker,
    Holder,
    RestartWanted,
    StillGivenUp,
    StillWanted,
    Undelivered,
    ViewerLeft,
    ViewerOffered,
    ViewerWishes,
    Wish,
)
from broker.director.state import Worker
from broker.director.status import SessionStatus
from broker.keyring import Keyring
from broker.lookout import Lookout
from broker.notices import Notices
from broker.probing import Probing
from broker.stream_keys import current_key, with_keys
from broker.ticker import Ticker
from broker.why.clerk import Clerk
from common.cameras import CameraName
from common.config_limits import LimitsConfig
from common.control import NEEDED, KeyWanted, NodeName, Ping, Report, Role, ToBroker, ToWorker
from common.curve import Keys
from common.demand import Demand
from common.endpoints import Endpoints
from common.errors import RequestError
from common.log import get_logger
from common.neighbourhood import neighbourhood
from common.sessions import SessionName, new_session

log = get_logger()


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
            unix=time.time(),
            neighbourhood=neighbourhood(),
        )
        self.on_demand: Callable[[Demand], None] | None = None  # for transcode workers, where some are in reserve
        self.clerk = Clerk(self.director, time.time)
        self.counters: Counter[str] = Counter()
        self._context, self._endpoints, self._keys = context, endpoints, keys
        self._keyring = keyring
        self._clock = clock
        self._ticker = Ticker(self._tick, clock)
        self._lookout = Lookout(lambda: self.director.workers, lambda node: self._send(node, Ping()), clock)
        self.notices = Notices(self.clerk, clock)
        self._socket: ControlSocket | None = None
        self._probing: Probing | None = None
        self._answers = Answers()
        self._news = asyncio.Event()  # set, and replaced, whenever there may be some
        catalogue.on_change(lambda: self._handle(CamerasWanted(catalogue.specs)))

    async def __aenter__(self) -> ControlPlane:
        self._probing = Probing(self._probe)
        self._socket = ControlSocket(
            self._context, self._endpoints, self._keys, self._keyring, self._hear, self.counters, self._probing.soon
        )
        self._ticker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        self._ticker.stop()
        if self._probing is not None:
            self._probing.stop()
        if self._socket is not None:
            self._socket.close()

    def stop(self) -> None:
        """Let nobody wait any longer. Sessions are left alone: they outlive the broker."""
        self._answers.refuse_all(503, "stopping", "The broker is stopping; try again in a moment.")

    async def offer(
        self,
        camera: CameraName,
        sdp: str,
        wish: Wish = Wish(),  # noqa: B008  # frozen
        holder: Holder = Holder(),  # noqa: B008  # frozen
        takes: tuple[str, ...] = (),
    ) -> Answer:
        """Have a viewer's offer answered. Raises ``RequestError``; if cancelled, the session is ended.

        One that ``takes`` codecs by Media Source Extensions has no SDP; its answer is ``common.handover.Doors``.
        """
        session = new_session(sdp)
        with self._answers.offers.asked(session) as answer:
            try:
                self._handle(ViewerOffered(session, camera, sdp, wish, holder, takes))
                return Answer(session, await answer)
            except asyncio.CancelledError:
                self._handle(ViewerLeft(session))
                raise
            except RequestError as exc:
                self.clerk.refused(session, camera, exc)
                raise

    async def still(self, camera: CameraName, wish: Wish) -> Picture:
        """Have one picture of a camera drawn. Raises ``RequestError``."""
        request = secrets.token_hex(8)
        with self._answers.stills.asked(request) as picture:
            try:
                self._handle(StillWanted(request, camera, wish))
                return await picture
            except asyncio.CancelledError:
                self._handle(StillGivenUp(request))
                raise

    async def restart_ice(self, session: SessionName, ufrag: str, password: str) -> Restarted:
        """Restart a session's ICE with these credentials of its viewer's. Raises ``RequestError``."""
        request = secrets.token_hex(8)
        with self._answers.restarts.asked(request) as restarted:
            self._handle(RestartWanted(request, session, ufrag, password))
            return await restarted

    def shows(self, session: SessionName, wish: Wish) -> None:
        """Take what a viewer wants of its camera now."""
        self._handle(ViewerWishes(session, wish))

    def hang_up(self, session: SessionName) -> None:
        """End a viewer's session; one that is gone already is no error."""
        self._handle(ViewerLeft(session))

    def end(self, session: SessionName, reason: EndReason, detail: str = "") -> None:
        """End a viewer's session, whether its viewer likes it or not; its page is told why."""
        self._handle(EndSession(session, reason, detail))

    def drain(self, node: NodeName) -> None:
        """Have a worker end in good order. Raises ``RequestError`` if there is none, or none that would take over."""
        _check_drain(node, [worker for worker in self.director.workers if worker.alive])
        log.info("telling a worker to drain", worker=node)
        self._handle(DrainWorker(node))

    def even_out(self) -> None:
        """Ask players to come again where fewer viewers are."""
        log.info("asking players to move to egresses with fewer viewers, until all have about as many")
        self._handle(EvenOut())

    async def find(self, session: SessionName) -> SessionStatus | None:
        """A viewer's session. Right after a start its egress has yet to report it: then this waits a little."""
        while (status := self.director.session(session)) is None and self.director.may_appear(session):
            await self.news()
        return status

    async def news(self) -> None:
        """Wait until a worker has said something, or a moment has passed."""
        await self._news.wait()

    def _tick(self) -> None:
        nodes = [worker.node for worker in self.director.workers]
        for event in (*self._lookout.look(self._ticker.due), *self._ticker.events(nodes)):
            self._handle(event)
        if self._socket is not None:
            self._socket.keep([worker.node for worker in self.director.workers])
        self.notices.sweep()
        self._publish_news()

    def _hear(self, node: NodeName, message: ToBroker) -> None:
        if isinstance(message, KeyWanted):
            if self._keyring is not None and (key := current_key(message.rendition, self.director, self._keyring)):
                self._send(node, key)
            return
        if isinstance(message, Report) and message.partial:
            self.counters["reports_partial"] += 1
        self._handle(FromWorker(node, message))
        self._publish_news()

    def lives(self, node: NodeName) -> bool:
        """Whether a worker of this name is at work: it was heard of, and its connection is there."""
        alive = any(worker.node == node and worker.alive for worker in self.director.workers)
        return alive and self._send(node, Ping())

    def _probe(self) -> bool:
        """Try every worker's connection, and say whether one is missing."""
        for event in self._lookout.probe(self._ticker.due):
            self._handle(event)
        self._publish_news()
        return self._lookout.misses

    def _send(self, node: NodeName, message: ToWorker) -> bool:
        return self._socket is not None and self._socket.send(node, message)

    def _send_with_keys(self, node: NodeName, message: ToWorker) -> bool:
        """Send a message, and before it the keys that it makes necessary. Whether the message itself was sent."""
        if self._keyring is None:
            return self._send(node, message)
        sent = [self._send(*each) for each in with_keys(node, message, self.director, self._keyring)]
        return sent[-1]

    def _publish_news(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _handle(self, event: Event) -> None:
        events, followed = deque([event]), False
        while events:
            self.clerk.before(events[0])
            for command in self.director.handle(events.popleft(), self._clock()):
                followed = True
                if isinstance(command, Send):
                    if not self._send_with_keys(command.node, command.message):
                        self.counters["control_undelivered"] += 1
                        if self._probing is not None:
                            self._probing.soon()
                        events.extend(
                            (*self._lookout.look(self._ticker.due), Undelivered(command.node, command.message))
                        )
                else:
                    self._perform(command)
        self._ticker.told(event, consequences=followed)

    def _perform(self, command: Command) -> None:
        match command:
            case (
                OfferAnswered() | OfferRefused() | StillTaken() | StillRefused() | RestartAnswered() | RestartRefused()
            ):
                self._answers.take(command)
            case Demand() if self.on_demand is not None:
                self.on_demand(command)
            case RememberTracks(camera, tracks):
                self.catalogue.remember(camera, tracks=tracks)
            case RememberWorker(camera, node):
                self.catalogue.remember(camera, worker=node)
            case WorkerJoined() | WorkerLost() | WorkerUnfit() | WireChanged() | NodeNameTwice():
                self.notices.log_worker(command)
            case CameraChanged() | CameraRemoved() | SessionEnded() | RenewSession():
                self.notices.tell(command)


def _check_drain(node: NodeName, alive: Sequence[Worker]) -> None:
    """Raise ``RequestError`` for a worker that there is not, or without which nobody could watch."""
    worker = next((each for each in alive if each.node == node), None)
    if worker is None:
        raise RequestError(404, "unknown_node", "There is no such worker; GET /api/nodes lists the workers.")
    role = worker.report.role
    if role in (*NEEDED, Role.RELAY) and not any(other.takes(role) for other in alive if other is not worker):
        raise RequestError(409, "last_of_role", f"It is the only {role.value} process; start another one first.")
