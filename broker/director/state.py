"""The director's state: workers, cameras and viewers' sessions, and the commands of the event being handled."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from broker.director.commands import Command, Send
from broker.director.events import Holder, StreamWish, Wish
from broker.director.status import SessionStatus
from common.cameras import NOTHING, CameraName, CameraSpec, CameraState
from common.control import NodeName, Report, Role, StreamReport, ToWorker, ViewerReport
from common.media import Kind, Rendition, Track, as_it_came
from common.onlooker import Condition
from common.sessions import SessionName

GATHERING = 0.5  # seconds from the first ingest worker until cameras are shared out among those that start with it
GRACE = 2.5  # seconds after a broker's start: workers reconnect every 2 s at the latest, and then report at once

RATE_SPAN = 1.9  # seconds over which a camera's bitrate is taken: a group of pictures, as most have it …
RATE_WINDOW = 10.0  # … unless its reports are further apart

FIRST_FAILURE, LAST_FAILURE = 30.0, 300.0  # seconds for which a stream that failed is left for the other

MOST_FENCE = 1 << 45  # that is believed: Unix milliseconds of the year 3084

CAMERA_SHARE = 0.01
"""Share of a core that a camera is expected to need at ingest: some hundred cameras fill one."""

VIEWER_SHARE = 0.005
"""Share of a core that a viewer is expected to need: 420 packets/s at 3 to 5 µs each, and headroom."""


@dataclass(slots=True)
class Worker:
    """A worker's process, as its reports tell."""

    report: Report  # the last
    seen: float  # when it came
    alive: bool = True
    give_up_at: float | None = None  # its connection is gone, as far as is known: if it is then, it is dead
    doubted: bool = False  # many were missed in one go, so it was given more time
    condition: Condition = Condition.UNKNOWN  # when it was looked at last, as it was not heard
    waits_until: float = float("-inf")  # as it got no processor it is not judged before that
    predecessor: str = ""  # incarnation that had this node's name before
    heir: str = ""  # incarnation that has everything now, and has yet to report
    cameras: set[CameraName] = field(default_factory=set)  # ingest: assigned to it
    streams: dict[CameraName, StreamReport] = field(default_factory=dict)  # ingest: what it says of each camera
    sessions: set[SessionName] = field(default_factory=set)  # egress: on it, answered or not
    watched: Counter[CameraName] = field(default_factory=Counter)  # egress: number of sessions of each camera

    @property
    def node(self) -> NodeName:
        """The name of the worker's process."""
        return self.report.node

    @property
    def busy(self) -> float:
        """The measure that workers of one role are compared by: about the share of a core that it uses or soon will.

        Measured load lags by a second; counting what a worker has been given is what spreads a burst.
        """
        return self.report.load.cpu + CAMERA_SHARE * len(self.cameras) + VIEWER_SHARE * len(self.sessions)

    def takes(self, role: Role) -> bool:
        """Whether it may be given something new of ``role``'s."""
        return self.alive and self.report.role is role and not self.report.draining and not self.heir

    @property
    def is_taken_over(self) -> bool:
        """Whether it is an egress that goes on in another process, which has yet to report."""
        return self.alive and self.report.role is Role.EGRESS and bool(self.heir)

    def inherited_by(self, report: Report) -> bool:
        """Whether it is its successor's: one of the two has said so, and the other may have been away from us."""
        successor = self.heir == report.incarnation or report.succeeds == self.report.incarnation
        return successor and report.incarnation != self.report.incarnation

    def has_stream(self, camera: CameraName) -> bool:
        """Whether this egress is subscribed to the camera, or about to be."""
        return camera in self.watched or as_it_came(camera) in self.report.subscribed

    def join(self, session: SessionName, camera: CameraName) -> None:
        """Count a viewer of ``camera`` as this egress's."""
        self.sessions.add(session)
        self.watched[camera] += 1

    def leave(self, session: SessionName, camera: CameraName) -> None:
        """Count a viewer of ``camera`` no longer as this egress's."""
        self.sessions.remove(session)
        self.watched[camera] -= 1
        if not self.watched[camera]:
            del self.watched[camera]


@dataclass(slots=True)
class Camera:
    """One stream of a camera that the operator wants."""

    spec: CameraSpec
    tracks: tuple[Track, ...] = ()  # the last that were seen
    last_worker: NodeName | None = None  # ``worker``, or the one that had it under an earlier broker
    worker: NodeName | None = None  # the one that has it now
    successor: NodeName | None = None  # the one that takes it over, and does not play it yet
    by_choice: bool = False  # it does so for even shares, and may as well not
    fence: int = 0  # of the newest assignment, see ``State.next_fence``
    one_session: bool = False  # it was seen to serve no second session
    sessions: set[SessionName] = field(default_factory=set)
    kept_until: float = float("-inf")  # on demand: needed until then also without viewers
    announced: tuple[CameraState, str, str, str, bool] | None = None
    leaving: set[SessionName] = field(default_factory=set)  # moved from here, and still shown it
    failing: bool = False  # as was last seen
    failures: int = 0  # in a row
    failed_until: float = float("-inf")  # it is taken for one that fails until then
    bitrate: float = 0.0  # bit/s, over the last seconds; 0 while nothing is known
    counted: tuple[int, float] = (0, 0.0)  # bytes that have come, and when they were reported
    fruitless: dict[Kind, tuple[str, float]] = field(default_factory=dict)  # why no conversion is begun, and until when
    waiting: set[Kind] = field(default_factory=set)  # what is to be converted as soon as a worker has room

    def count(self, octets: int, now: float) -> None:
        """Take the number of bytes that came since the session with the camera began; ``now`` is monotonic."""
        before, at = self.counted
        if octets < before or now - at > RATE_WINDOW:
            self.counted = octets, now
        elif now - at >= RATE_SPAN:
            rate = 8 * (octets - before) / (now - at)
            self.bitrate = (self.bitrate + rate) / 2 if self.bitrate else rate
            self.counted = octets, now

    def unconverted(self, kind: Kind, now: float) -> str:
        """Why no conversion of its picture or sound is begun now; empty if nothing was seen to stand against it."""
        problem, until = self.fruitless.get(kind, ("", 0.0))
        return problem if now < until else ""

    def saw(self, state: CameraState, now: float) -> None:
        """Note a state of the stream. One that fails is taken to fail for a while: it may flap."""
        self.failing = state.failed
        if state is CameraState.PLAYING and now > self.failed_until + LAST_FAILURE:
            self.failures = 0
        elif state.failed:
            if now >= self.failed_until:
                self.failures += 1
            self.failed_until = now + min(FIRST_FAILURE * 2 ** min(self.failures - 1, 10), LAST_FAILURE)

    def failed(self, now: float) -> bool:
        """Whether it gives no picture, or gave none a while ago."""
        return now < self.failed_until

    def needed(self, now: float) -> bool:
        """Whether it has to be pulled."""
        return not self.spec.on_demand or bool(self.sessions) or bool(self.leaving) or now < self.kept_until


_NO_WISH, _NOBODY = Wish(StreamWish.UNKNOWN), Holder()


@dataclass(slots=True)
class Session:
    """One viewer's session."""

    id: SessionName
    camera: CameraName  # the stream that it is to be shown
    node: NodeName  # its egress
    offer: str | None = field(default=None, repr=False)  # SDP, until it is answered
    deadline: float = 0.0  # for the answer
    refused_by: set[NodeName] = field(default_factory=set)
    report: ViewerReport | None = None
    renditions: tuple[Rendition, ...] = ()  # that it was promised
    wish: Wish = _NO_WISH
    thin_until: float = float("-inf")  # its path is taken not to carry the main stream until then
    settled_at: float = float("-inf")  # it is not judged before that
    patience: float = 0.0  # seconds that this was away when it was decided
    declined: tuple[CameraName, tuple[Track, ...]] = (NOTHING, ())  # the stream that its egress cannot show, as it was
    may_move_at: float = float("-inf")  # to another stream, not before that …
    move_pause: float = 0.0  # … which was so many seconds away
    declines: int = 0  # reports in a row that decline the stream that it is to be shown
    home: CameraName = NOTHING  # the stream that it was shown when an egress told of it
    holder: Holder = _NOBODY
    takes: tuple[str, ...] = ()  # codecs, by Media Source Extensions; none of WebRTC's viewers
    renew_at: float = float("-inf")  # its player is not asked again before that to make a new one

    @property
    def pending(self) -> bool:
        """Whether the egress has yet to answer."""
        return self.offer is not None

    @property
    def status(self) -> SessionStatus:
        """How it is now, for people."""
        return SessionStatus(self.id, self.camera, self.node, not self.pending, self.report, self.holder)


class State:
    """The state that the parts of the director share. Times are on the caller's monotonic clock, in seconds.

    ``unix`` is the Unix time at ``now``. See ``Director`` for the rest.
    """

    def __init__(
        self, now: float, ingests: int | None, *, sessions_each: int, unix: float = 0.0, neighbourhood: str = ""
    ) -> None:
        self.now = now
        self.converter_in_reserve = False  # whether somebody starts a worker that can convert when one is needed
        self.sessions_each = sessions_each
        self.neighbourhood = neighbourhood  # the front door's
        self.started = now
        self._unix = unix
        self._fence = 0  # the highest that is known
        self._ingests = ingests
        self._share_at = float("inf")
        self.workers: dict[NodeName, Worker] = {}
        self.cameras: dict[CameraName, Camera] = {}
        self.sessions: dict[SessionName, Session] = {}
        self.changed: set[CameraName] = set()  # cameras whose state may be another than the one announced
        self.commands: list[Command] = []
        self.counters: Counter[str] = Counter()

    @property
    def starting(self) -> bool:
        """Whether workers of an earlier broker may still be on their way: what is unknown may become known."""
        return self.now < self.started + GRACE

    @property
    def gathering(self) -> bool:
        """Whether ingest workers that start together may still be on their way: cameras are to be shared among them."""
        return self.now < self._share_at

    @property
    def converts(self) -> bool:
        """Whether there is a worker that can convert, or will be as soon as it is needed."""
        return self.converter_in_reserve or self.has_converter

    @property
    def has_converter(self) -> bool:
        """Whether there is a worker that can convert now."""
        return any(worker.takes(Role.TRANSCODE) for worker in self.workers.values())

    def ingest_joined(self) -> None:
        """Wait for others that start with an ingest worker that is new."""
        self._share_at = min(self._share_at, self.now + GATHERING)
        if self._ingests is not None and sum(w.takes(Role.INGEST) for w in self.workers.values()) >= self._ingests:
            self._share_at = self.now

    def next_fence(self) -> int:
        """The number of a new assignment: Unix milliseconds, or more where any worker was heard to have a higher one.

        It is the upper part of the epoch of what is published by it (``common.media.first_epoch``), so that the newest
        assignment wins, whatever the clocks of the machines say.
        """
        self._fence = max(int(1000 * (self._unix + self.now - self.started)), self._fence + 1)
        return self._fence

    def heard_fence(self, fence: int) -> None:
        """Stay above a fence that a worker was given, by an earlier broker or by another."""
        if fence < MOST_FENCE:  # else it makes it up
            self._fence = max(self._fence, fence)

    def command(self, command: Command) -> None:
        """Order something, after what is ordered already."""
        self.commands.append(command)

    def send(self, node: NodeName, message: ToWorker) -> None:
        """Order a message to a worker."""
        self.commands.append(Send(node, message))
