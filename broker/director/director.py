"""The director: decides which worker pulls which camera and which egress serves which viewer.

Pure: ``handle(event, now)`` changes the state and returns the commands that follow from it; no I/O, no clock, no task.

* Nothing is replayed. What is wanted is compared with what a worker reports, at every report, and the difference is
  sent: a command that was lost is sent again a second later, and a new broker learns everything from the reports.
* A worker is dead when it leaves, when its node comes back as a new incarnation, or by ``broker.director.vigil``: its
  connection is gone and stays so, or it is silent. Its cameras move at once; its answered sessions are over; its
  unanswered offers go to another egress if it left in good order, and are refused otherwise: one may be the cause.
* A worker that leaves may have given everything to another incarnation of its node. Nothing is over then, unless that
  does not report as long as makes any worker dead.
* Before it gives the first camera away, a broker waits until the ingest workers that it was told of have joined, or for
  ``GATHERING`` after the first, because a camera that plays is not moved.
* A new broker waits for ``GRACE`` that a camera is reported by the worker that last had it, before it gives it away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from broker.director.camera_states import CameraStates
from broker.director.cameras import Cameras
from broker.director.commands import Command, WorkerJoined, WorkerLost
from broker.director.conversions import Conversions
from broker.director.drains import Drains
from broker.director.events import (
    CamerasWanted,
    DrainWorker,
    EndReason,
    EndSession,
    EvenOut,
    Event,
    FromWorker,
    Probed,
    RestartWanted,
    StillGivenUp,
    StillWanted,
    StoodStill,
    Tick,
    Undelivered,
    ViewerLeft,
    ViewerOffered,
    ViewerWishes,
    Witnessed,
)
from broker.director.identities import Identities
from broker.director.moves import Moves
from broker.director.rebalancing import Rebalancing
from broker.director.reserve import Reserve
from broker.director.restarts import Restarts
from broker.director.shares import Shares
from broker.director.state import State, Worker
from broker.director.status import CameraStatus, SessionStatus
from broker.director.stills import Stills
from broker.director.viewers import Viewers
from broker.director.vigil import Vigil
from broker.director.wires import Wires
from common.cameras import CameraName, CameraSpec
from common.config_limits import LimitsConfig
from common.control import (
    Answered,
    Ended,
    IceNotRestarted,
    IceRestarted,
    Leaving,
    NodeName,
    Offer,
    Ping,
    Refused,
    Report,
    RestartIce,
    Role,
    Snapshot,
    SnapshotFailed,
    SnapshotTaken,
    ToBroker,
    ToWorker,
)
from common.media import Rendition, Track
from common.sessions import SessionName

DEAD_KEPT = 60.0  # seconds for which a dead worker is still listed, so that a person sees it


class Director:
    """See the package's text. ``tracks`` and ``last_workers`` are what an earlier broker was told to remember.

    ``ingests`` is how many ingest workers start with the broker, ``None`` if that is not known. ``trusting`` lets any
    ingest keep a camera that it reports and nobody else has, else only the one that is remembered to have it: the
    answer to a report carries the camera's password. Of one egress's report at most ``sessions_each`` sessions are
    believed that nobody here has heard of. ``unix`` is the Unix time at ``now``.
    """

    def __init__(
        self,
        now: float,
        cameras: Mapping[CameraName, CameraSpec],
        *,
        tracks: Mapping[CameraName, tuple[Track, ...]] | None = None,
        last_workers: Mapping[CameraName, NodeName] | None = None,
        ingests: int | None = None,
        trusting: bool = True,
        sessions_each: int = LimitsConfig().egress_viewers,
        unix: float = 0.0,
        neighbourhood: str = "",
    ) -> None:
        self._state = State(now, ingests, sessions_each=sessions_each, unix=unix, neighbourhood=neighbourhood)
        self._cameras = Cameras(self._state, cameras, tracks or {}, last_workers or {}, trusting=trusting)
        self._states = CameraStates(self._state, self._cameras.suspects)
        self._conversions = Conversions(self._state)
        self._moves = Moves(self._state, self._conversions, (self._cameras.suspects, self._cameras.egress_suspects))
        self._viewers = Viewers(self._state, self._conversions, self._moves, self._cameras.egress_suspects)
        self._stills = Stills(self._state, self._moves)
        self.reserve = Reserve(self._state, self._conversions, self._stills)
        self._restarts = Restarts(self._state)
        self._vigil = Vigil(self._state)
        self._drains = Drains(self._state)
        self._rebalancing = Rebalancing(self._state)
        self._shares = Shares(self._state, self._cameras)
        self._wires = Wires(self._state)
        self._identities = Identities(self._state, self._bury, self._viewers.succeeded)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in what happened at ``now`` (monotonic seconds) and return what has to be done, in order."""
        self._state.now = now
        match event:
            case FromWorker(node, message):
                self._hear(node, message)
            case Undelivered(node, message):
                self._not_delivered(node, message)
            case CamerasWanted(cameras):
                for id in self._state.cameras.keys() - cameras.keys():
                    self._viewers.remove_camera(id, cameras)
                self._cameras.want(cameras)
                self._conversions.settle()
            case ViewerOffered():
                self._viewers.offer(event)
                self._cameras.settle_all_of(event.camera)
            case ViewerWishes(session, wish):
                self._viewers.wishes(session, wish)
                if (status := self.session(session)) is not None:
                    self._cameras.settle_all_of(status.camera)
            case ViewerLeft(session):
                self._viewers.left(session)
            case RestartWanted():
                self._restarts.want(event)
            case EndSession(session, reason, detail):
                self._viewers.end(session, reason, detail)
            case StillWanted(request, camera, wish):
                self._stills.want(request, camera, wish)
                self._cameras.settle_all_of(camera)
            case StillGivenUp(request):
                self._stills.give_up(request)
            case Tick():
                self._tick()
            case DrainWorker(node):
                self._drains.order(node)
            case EvenOut():
                self._rebalancing.begin()
            case Probed(missing):
                self._give_up(self._vigil.probed(missing))
            case Witnessed(conditions):
                self._vigil.witnessed(conditions)
            case StoodStill(seconds):
                self._vigil.stood_still(seconds)
        self._states.announce()
        for part in (self._stills, self._restarts, self.reserve):
            part.settle()
        commands, self._state.commands = self._state.commands, []
        return commands

    def limit(self, sessions_each: int) -> None:
        """Believe an egress so many sessions from now on."""
        self._state.sessions_each = sessions_each

    @property
    def counters(self) -> Mapping[str, int]:
        """Counts of what was dropped, by name."""
        return self._state.counters

    @property
    def workers(self) -> Iterable[Worker]:
        """All workers, also those that died a short while ago. Not to be changed."""
        return self._state.workers.values()

    @property
    def sessions(self) -> Collection[SessionName]:
        """All sessions, answered or not."""
        return self._state.sessions.keys()

    def camera(self, id: CameraName) -> CameraStatus | None:
        """How a camera is now, ``None`` if there is no such camera."""
        return self._states.status(id)

    def converter(self, rendition: Rendition) -> NodeName | None:
        """The worker that makes a rendition, ``None`` while nobody does."""
        return self._conversions.worker(rendition)

    def session(self, id: SessionName) -> SessionStatus | None:
        """How a viewer's session is now, ``None`` if there is no such session."""
        found = self._state.sessions.get(id)
        return None if found is None else found.status

    def may_appear(self, session: SessionName) -> bool:
        """Whether a session that is unknown may become known: egresses of an earlier broker are still on their way."""
        return self._viewers.may_appear(session)

    def _hear(self, node: NodeName, message: ToBroker) -> None:
        match message:
            case Report():
                if message.node != node:
                    self._state.counters["wrong_node"] += 1
                elif self._wires.takes(message) and (report := self._identities.whole(message)) is not None:
                    self._report(report)
            case Leaving(incarnation=incarnation, successor=successor):
                worker = self._state.workers.get(node)
                if worker is not None and worker.report.incarnation == incarnation and successor:
                    worker.heir, worker.seen = successor, self._state.now
                elif worker is not None and worker.report.incarnation == incarnation:
                    self._bury(worker, EndReason.WORKER_STOPPED)
                    del self._state.workers[node]
            case Answered(session, sdp, renditions):
                self._viewers.answered(node, session, sdp, renditions)
            case Refused():
                self._viewers.refused(node, message)
            case Ended(session, reason):
                self._viewers.ended(node, session, reason)
            case IceRestarted():
                self._restarts.restarted(node, message)
            case IceNotRestarted():
                self._restarts.refused(node, message)
            case SnapshotTaken():
                self._stills.taken(node, message)
            case SnapshotFailed():
                self._stills.failed(node, message)

    def _report(self, report: Report) -> None:
        found = self._identities.reported(report)
        if found is None:
            return
        worker, joined = found
        self._wires.settle()
        self._wires.tell(report)
        if joined and report.role is Role.INGEST:
            self._state.ingest_joined()
        match report.role:
            case Role.INGEST:
                self._cameras.reconcile(worker)
                self._viewers.convert(self._conversions.waiting.take(self._cameras.to_convert))
            case Role.EGRESS:
                self._viewers.reconcile(worker)
                self._conversions.subscribed(worker)
            case Role.TRANSCODE:
                self._conversions.reconcile(worker)
                self._viewers.convert(self._conversions.waiting.take(self._cameras.to_convert))
        self._drains.reported(worker)
        if joined:
            self._state.command(WorkerJoined(report.node, report.role))
            self._cameras.settle()
            if report.role is Role.TRANSCODE:
                self._states.converters_changed()

    def _not_delivered(self, node: NodeName, message: ToWorker) -> None:
        """The connection is gone. A worker that lives connects again at once, and then reports."""
        worker = self._state.workers.get(node)
        if isinstance(message, Offer):  # which it never saw
            self._viewers.offer_elsewhere(node, message.session)
        elif isinstance(message, Snapshot):
            self._stills.undelivered(node, message.request)
        elif isinstance(message, RestartIce):
            self._restarts.undelivered(node, message.request)
        if worker is not None and worker.alive and self._vigil.unreached(worker):
            self._give_up([worker])

    def _give_up(self, workers: Iterable[Worker]) -> None:
        for worker in workers:
            self._bury(worker, EndReason.WORKER_LOST)

    def _bury(self, worker: Worker, reason: EndReason) -> None:
        worker.alive = False
        self._identities.forget(worker)
        self._state.command(WorkerLost(worker.node, worker.report.role, reason))
        stopped = reason is EndReason.WORKER_STOPPED
        self._cameras.bury(worker, stopped=stopped)
        self._viewers.bury(worker, reason)
        self._conversions.bury(worker, stopped=stopped or self._stills.draws(worker.node))  # else it is that, rather
        self._stills.bury(worker, stopped=stopped)
        if worker.report.role is Role.TRANSCODE:
            self._states.converters_changed()
        self._cameras.settle()

    def _tick(self) -> None:
        self._give_up(self._vigil.silent())
        for worker in list(self._state.workers.values()):
            if worker.alive and self._vigil.overdue(worker):
                self._state.send(worker.node, Ping())
            elif self._state.now - worker.seen >= DEAD_KEPT:
                del self._state.workers[worker.node]
        self._identities.settle()
        self._viewers.expire()
        self._moves.settle()
        self._cameras.settle()
        for part in (self._conversions, self._drains, self._shares, self._rebalancing, self._wires):
            part.settle()
