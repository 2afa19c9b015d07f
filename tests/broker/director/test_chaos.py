"""Workers die, stall, join and leave at random, messages get lost, brokers restart; then all must come right."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.director.commands import OfferAnswered, OfferRefused, RememberWorker, Send, SessionEnded
from broker.director.director import Director
from broker.director.events import CamerasWanted, FromWorker, Tick, Undelivered, ViewerLeft, ViewerOffered
from broker.director.offers import OFFER_TIMEOUT
from broker.director.state import GRACE
from common.cameras import CameraSpec, CameraState
from common.control import (
    DEAD_AFTER,
    Answered,
    Assign,
    HangUp,
    Leaving,
    Load,
    Offer,
    Refused,
    Release,
    Report,
    Role,
    StreamReport,
    TrackStats,
    ViewerReport,
    ViewerState,
)
from common.media import Kind

CAMERAS = ("a", "b", "c")
NODES = ("in-1", "in-2", "in-3", "out-1", "out-2")
KEEP = 2.0
HANDING = 12.0  # seconds after which an egress that gave everything, and was not taken at its word, goes on


@dataclass
class FakeWorker:
    """A worker that does what it is told, if the message reaches it."""

    node: str
    incarnation: str
    stalled: bool = False
    draining: bool = False
    gone_to: str = ""  # incarnation of the successor that it is giving everything to …
    gone_at: float = 0.0  # … since then
    succeeds: str = ""
    cpu: float = 0.0
    cameras: dict[str, CameraSpec] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    reported: Counter[str] = field(default_factory=Counter)

    @property
    def role(self) -> Role:
        return Role.INGEST if self.node.startswith("in") else Role.EGRESS

    def report(self) -> Report:
        return Report(
            self.node,
            self.role,
            self.incarnation,
            load=Load(self.cpu),
            draining=self.draining,
            succeeds=self.succeeds,
            served=tuple(map(self.stream, self.cameras.values())),
            viewers=tuple(ViewerReport(s, c, ViewerState.CONNECTED) for s, c in self.sessions.items()),
        )

    def stream(self, spec: CameraSpec) -> StreamReport:
        """It has a keyframe from its second report on."""
        self.reported[spec.id] += 1
        stats = (TrackStats(Kind.VIDEO, keyframes=self.reported[spec.id] - 1),)
        return StreamReport(spec.id, spec.revision, CameraState.PLAYING, stats=stats)

    def obey(self, message) -> list:
        match message:
            case Assign(spec):
                self.cameras[spec.id] = spec
            case Release(id):
                self.cameras.pop(id, None)
                self.reported.pop(id, None)
            case Offer(session=session, camera=camera):
                if self.draining:
                    return [Refused(session, 503, "draining", "")]
                self.sessions[session] = camera
                return [Answered(session, "sdp")]
            case HangUp(session):
                self.sessions.pop(session, None)
        return []


class Cluster(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.wanted: dict[str, CameraSpec] = {}
        self.workers: dict[str, FakeWorker] = {}
        self.viewers: dict[str, str] = {}  # answered and not ended, as the viewers know
        self.detached: set[str] = set()  # viewers that lost their broker: they ask the new one whether they still exist
        self.waiting: set[str] = set()  # offered and neither answered nor refused
        self.orphans: set[str] = (
            set()
        )  # their viewers gave up while no broker was there to hear of it: consent ends them
        self.last_workers: dict[str, str] = {}
        self.serial = 0
        self.lossy = False
        self.losses: list[bool] = []
        self.director = Director(self.now, {})
        for node in NODES[1:]:  # something to break from the first step on
            self.join_or_restart(node, 0.0)
        for id in CAMERAS[1:]:
            self.change_a_camera(id, "on demand" if id == "c" else "always")
        self.offer(list(CAMERAS[1:]))

    # The world

    def handle(self, event) -> None:
        for command in self.director.handle(event, self.now):
            match command:
                case Send(node, message):
                    self.deliver(node, message)
                case OfferAnswered(session):
                    self.waiting.remove(session)
                    self.viewers[session] = node_camera(session)
                case OfferRefused(session=session):
                    self.waiting.remove(session)
                case SessionEnded(session=session):
                    self.viewers.pop(session, None)  # or it was adopted, and its offer died with the old broker
                case RememberWorker(camera, None):
                    self.last_workers.pop(camera, None)
                case RememberWorker(camera, node):
                    self.last_workers[camera] = node

    def deliver(self, node: str, message) -> None:
        worker = self.workers.get(node)
        if worker is None or worker.gone_to:
            self.handle(Undelivered(node, message))
        elif not self.lost() and not worker.stalled:
            for reply in worker.obey(message):
                if not self.lost():
                    self.handle(FromWorker(node, reply))

    def held(self) -> dict[str, str]:
        """The sessions that are alive, and their egress."""
        return {session: worker.node for worker in self.workers.values() for session in worker.sessions}

    def lost(self) -> bool:
        if not self.lossy:
            return False
        self.losses.append(self.losses.pop(0))
        return self.losses[-1]

    def report_all(self) -> None:
        for worker in list(self.workers.values()):
            if not worker.stalled and not worker.gone_to:
                self.handle(FromWorker(worker.node, worker.report()))

    # What happens

    @rule(node=st.sampled_from(NODES), cpu=st.floats(0, 1))
    def join_or_restart(self, node: str, cpu: float) -> None:
        self.serial += 1
        self.workers[node] = worker = FakeWorker(node, str(self.serial), cpu=cpu)
        self.handle(FromWorker(node, worker.report()))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), what=st.sampled_from(("die", "leave", "stall", "wake", "wake", "drain", "go on", "go on")))
    def something_happens_to_a_worker(self, data, what: str) -> None:
        worker = self.workers[data.draw(st.sampled_from(sorted(self.workers)))]
        match what:
            case "die":
                del self.workers[worker.node]
            case "leave":
                del self.workers[worker.node]
                self.handle(FromWorker(worker.node, Leaving(worker.node, worker.incarnation)))
            case "stall" | "wake":
                worker.stalled = what == "stall"
            case "drain" | "go on":
                worker.draining = what == "drain"

    @precondition(lambda self: any(self.givers()))
    @rule(data=st.data())
    def an_egress_gives_everything_to_its_successor(self, data) -> None:
        """It says so, and nothing more; somebody has its sessions meanwhile."""
        giver = data.draw(st.sampled_from(self.givers()))
        self.serial += 1
        giver.gone_to, giver.gone_at = str(self.serial), self.now
        if not self.lost():
            self.handle(FromWorker(giver.node, Leaving(giver.node, giver.incarnation, giver.gone_to)))

    @precondition(lambda self: any(worker.gone_to for worker in self.workers.values()))
    @rule(data=st.data(), what=st.sampled_from(("taken", "taken", "left a part", "come back", "both die")))
    def it_ends_so(self, data, what: str) -> None:
        giver = data.draw(st.sampled_from([w for w in self.workers.values() if w.gone_to]))
        if what == "both die":
            del self.workers[giver.node]
            return
        if what != "come back":
            sessions = sorted(giver.sessions.items())
            taken = dict(sessions[1:] if what == "left a part" else sessions)
            self.workers[giver.node] = giver = FakeWorker(
                giver.node, giver.gone_to, cpu=giver.cpu, sessions=taken, succeeds=giver.incarnation
            )
        giver.gone_to = ""
        if not self.lost():
            self.handle(FromWorker(giver.node, giver.report()))

    def givers(self) -> list[FakeWorker]:
        """Those that could give everything to a successor now."""
        return [w for w in self.workers.values() if w.role is Role.EGRESS and not w.stalled and not w.gone_to]

    @rule(id=st.sampled_from(CAMERAS), wanted=st.sampled_from(("always", "always", "on demand", "on demand", "no")))
    def change_a_camera(self, id: str, wanted: str) -> None:
        self.serial += 1
        if wanted == "no":
            self.wanted.pop(id, None)
        else:
            on_demand = wanted == "on demand"
            self.wanted[id] = CameraSpec(id, "rtsp://host/", on_demand=on_demand, keep_after=KEEP, revision=self.serial)
        self.handle(CamerasWanted(dict(self.wanted)))

    @rule(cameras=st.lists(st.sampled_from(CAMERAS), min_size=1, max_size=3))
    def offer(self, cameras: list[str]) -> None:
        for camera in cameras:
            self.serial += 1
            session = f"{camera}-{self.serial}"
            self.waiting.add(session)
            self.handle(ViewerOffered(session, camera, "sdp"))

    @precondition(lambda self: self.viewers)
    @rule(data=st.data())
    def hang_up(self, data) -> None:
        session = data.draw(st.sampled_from(sorted(self.viewers)))
        del self.viewers[session]
        if self.director.session(session) is None and not self.director.may_appear(session):
            self.orphans.add(session)
        self.handle(ViewerLeft(session))

    @rule(seconds=st.integers(0, 4), reports=st.sampled_from((True, True, True, False)))
    def time_passes(self, seconds: int, reports: bool) -> None:
        for _ in range(seconds):
            self.now += 1.0
            for worker in self.workers.values():
                if self.now - worker.gone_at > HANDING:
                    worker.gone_to = ""
            if reports:
                self.report_all()
            self.handle(Tick())

    @rule(losses=st.lists(st.booleans(), min_size=3, max_size=7))
    def messages_get_lost(self, losses: list[bool]) -> None:
        self.lossy, self.losses = True, losses

    @rule()
    def messages_arrive_again(self) -> None:
        self.lossy = False

    @rule()
    def broker_restarts(self) -> None:
        self.director = Director(self.now, self.wanted, last_workers=self.last_workers)
        self.waiting.clear()  # their HTTP requests died with the broker
        self.detached.update(self.viewers)
        self.orphans.update(set(self.held()) - self.viewers.keys())

    # What must hold

    @invariant()
    def no_camera_is_with_two_workers_in_the_books(self) -> None:
        """A camera is with one worker; one that moves, also with the one that takes it over."""
        given = {id: {w.node for w in self.director.workers if id in w.cameras} for id in CAMERAS}
        cameras = self.director._state.cameras
        assert all(id in cameras or not nodes for id, nodes in given.items())
        for id, camera in cameras.items():
            assert given[id] == {camera.worker, camera.successor} - {None}
            assert camera.worker is not None or camera.successor is None
        assert cameras.keys() <= self.wanted.keys()
        for worker in self.director.workers:
            assert worker.alive or not (worker.cameras or worker.sessions)
            assert worker.watched == Counter(self.director.session(id).camera for id in worker.sessions)

    @invariant()
    def every_session_is_with_one_worker_in_the_books(self) -> None:
        with_workers = Counter(id for worker in self.director.workers for id in worker.sessions)
        assert with_workers == Counter(self.director.sessions)
        assert self.waiting <= with_workers.keys()

    def settle(self) -> None:
        """Let everything arrive for long enough, and look at the workers themselves."""
        self.lossy = False
        for worker in self.workers.values():
            worker.stalled, worker.gone_to = False, ""
        for _ in range(int(DEAD_AFTER + OFFER_TIMEOUT + GRACE + KEEP + 4)):
            self.now += 1.0
            self.report_all()
            self.handle(Tick())
        for session in self.detached:
            if self.director.session(session) is None:
                self.viewers.pop(session, None)
        self.cameras_are_right()
        self.sessions_are_right()

    def teardown(self) -> None:
        self.settle()

    def cameras_are_right(self) -> None:
        ingests = [worker for worker in self.workers.values() if worker.role is Role.INGEST]
        holders = {id: [w for w in ingests if id in w.cameras] for id in CAMERAS}
        takers = [worker for worker in ingests if not worker.draining]
        for id, workers in holders.items():
            assert len(workers) <= 1, f"{id} is with {workers}"
            spec = self.wanted.get(id)
            watched = id in self.viewers.values() or any(
                id == c for w in self.workers.values() for c in w.sessions.values()
            )
            if spec is None or (spec.on_demand and not watched):
                assert not workers, f"{id} is pulled for nobody"
            elif takers:
                assert workers, f"{id} is not pulled"
                assert not workers[0].draining
            for worker in workers:
                assert worker.cameras[id] == spec
                assert self.director.camera(id).worker == worker.node

    def sessions_are_right(self) -> None:
        assert not self.waiting, "an offer was never answered nor refused"
        held = self.held()
        assert held.keys() == set(self.director.sessions), "an egress and the books differ"
        assert self.viewers.keys() <= held.keys(), "a viewer was not told that its session is over"
        assert held.keys() <= self.viewers.keys() | self.orphans, "a session leaked"
        for session, node in held.items():
            assert self.director.session(session).node == node


def node_camera(session: str) -> str:
    return session.partition("-")[0]


Cluster.TestCase.settings = settings(stateful_step_count=40)
TestCluster = Cluster.TestCase
