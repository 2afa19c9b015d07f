"""Which transcode worker makes which rendition: what egresses have promised, and no camera sends.

An egress promises in its answer, and its reports go on to say what it is subscribed to: that is what is wanted. When
the last one has given a rendition up, which it does some seconds after its last viewer, the conversion ends.

* A conversion stays with its worker until it is wanted no more, or the worker dies or drains. That of one that drains
  is begun by another as well, and ended when that has made it for ``HANDED_OVER_AFTER``: viewers go over at the first
  keyframe of the new one.
* What a worker reports is compared with what it should have, and the difference is sent, as for cameras.
* A worker that is full gets nothing new: what runs is not spoilt for what might. As its load is known a second late, it
  gets a few at once at most. Sound beside a picture is promised all the same, and begins when there is room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from broker.director.events import StreamWish
from broker.director.state import Camera, Session, State, Worker
from broker.director.waiting import Waiting
from common.cameras import NOTHING, CameraName
from common.control import CONVERTERS_FULL, Convert, EndConversion, Made, Move, NodeName, Offer, Role
from common.media import CONVERTED, Kind, Rendition, Track, camera_of, converted, converted_kind
from common.sessions import SessionName

MOST_AT_ONCE = 2  # conversions that a worker is given between two of its reports
# Seconds for which a rendition waits after the second death of its worker, and twice as long after each further one:
# what is the cause soon hurts no other any more, and what is not is hardly kept waiting.
SUSPENSION = 1.0
MOST_DOUBLED = 8  # times: four minutes
FORGIVEN_AFTER = 60.0  # seconds that it is made without a death after which earlier ones do not count
HANDED_OVER_AFTER = 1.5  # seconds: the camera's cached pictures are decoded at once, and begin with a keyframe
FRUITLESS_FOR = (
    60.0  # seconds in which no conversion is begun of what nothing came of, unless the camera's tracks change
)
CONVERSION_SHARE = 0.1
"""Share of a core that a conversion that has just been given is expected to need."""

NO_WORKER = "no transcode worker is running"


@dataclass(slots=True)
class _Conversion:
    node: NodeName
    track: Track  # of the camera, as it was sent
    fence: int = 0  # of the order, see ``State.next_fence``
    revision: int = 0  # of the camera's stream, as it was sent
    former: NodeName | None = None  # the one that made it before, drains, and still makes it
    made_since: float | None = None  # by ``node``, as far as is known

    def order(self, rendition: Rendition) -> Convert:
        """The order to make it."""
        return Convert(rendition, self.track, fence=self.fence, revision=self.revision)

    def given_back(self, fence: int) -> _Conversion:
        """The same as its former worker is to make it, by another ``fence``: by this one the dead worker published."""
        assert self.former is not None, "somebody made it before"
        return replace(self, node=self.former, fence=fence, former=None, made_since=None)

    def is_told(self, made: Made | None) -> bool:
        """Whether a worker that says so was told it; 0 is the revision of one that knows of none."""
        return made is not None and made.track == self.track and made.revision in (0, self.revision)


class Conversions:
    """The director's part for what is converted."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._running: dict[Rendition, _Conversion] = {}
        self._subscribed: dict[NodeName, set[Rendition]] = {}  # by egress, as it last reported …
        self._promised: dict[NodeName, set[Rendition]] = {}  # … and since then
        self._given: Counter[NodeName] = Counter()  # conversions that a worker was given since its last report
        self._suspected: dict[Rendition, tuple[int, float]] = {}  # deaths with it in a row, and when it is made again
        self.waiting = Waiting(state, lambda: bool(self.hindrance))

    def offer(self, session: Session, other: Camera | None) -> Offer:
        """The session's offer as it goes to an egress, with what it may promise of its stream and the ``other``."""
        camera, sdp = session.camera, session.offer
        assert sdp is not None, "it waits for its answer"
        record = self._state.cameras[camera]
        convertible = self._convertible(camera)
        problem = record.unconverted(Kind.VIDEO, self._state.now)
        return Offer(
            session.id,
            camera,
            sdp,
            record.tracks,
            convertible,
            "" if len(convertible) == 2 else problem or self.hindrance,
            *((NOTHING, ()) if other is None else (other.spec.id, other.tracks)),
            fixed=session.wish.stream is not StreamWish.AUTO,
            principal=session.holder.principal,
            expires=session.holder.expires,
            takes=session.takes,
            revision=record.spec.revision,
            other_revision=0 if other is None else other.spec.revision,
        )

    def move(self, session: SessionName, camera: CameraName) -> Move:
        """The order to show a session that camera, with what may be promised of it."""
        record = self._state.cameras[camera]
        return Move(session, camera, record.tracks, self._convertible(camera), record.spec.revision)

    @property
    def hindrance(self) -> str:
        """Why no conversion can begin now; empty if one can."""
        if not self._state.converts:
            return NO_WORKER
        room = not self._state.has_converter or any(map(self._has_room, self._state.workers.values()))
        return "" if room else CONVERTERS_FULL

    def _convertible(self, camera: CameraName) -> tuple[Kind, ...]:
        """The kinds of a camera's tracks that may be promised converted."""
        record, hindrance = self._state.cameras[camera], self.hindrance
        kinds = _by_then(record.tracks) if hindrance == CONVERTERS_FULL else set() if hindrance else {*Kind}
        kinds |= {kind for kind in Kind if converted(camera, kind) in self._running}
        return tuple(kind for kind in CONVERTED if kind in kinds and not record.unconverted(kind, self._state.now))

    def promised(self, node: NodeName, names: tuple[Rendition, ...]) -> None:
        """Make what an egress has promised a viewer, and subscribes to."""
        new = _made(names) - self._subscribed.get(node, set())
        if new:
            self._promised.setdefault(node, set()).update(new)
            self.settle()

    def subscribed(self, egress: Worker) -> None:
        """Take in what an egress has reported that it is subscribed to."""
        names = _made(egress.report.subscribed)
        if self._promised.pop(egress.node, None) is not None or names != self._subscribed.get(egress.node, set()):
            self._subscribed[egress.node] = names
            self.settle()

    def reconcile(self, worker: Worker) -> None:
        """Compare what a transcode worker reports with what it should have."""
        self._given.pop(worker.node, None)
        made = {each.rendition: each for each in worker.report.made}
        for rendition, told in made.items():
            if rendition not in self._running and self._state.starting:  # of an earlier broker's
                self._adopt(worker, told)
            conversion = self._running.get(rendition)
            if conversion is None or worker.node not in (conversion.node, conversion.former):
                self._state.send(worker.node, EndConversion(rendition))
            elif conversion.node == worker.node and conversion.made_since is None:
                conversion.made_since = self._state.now
        for each in worker.report.made:
            if (conversion := self._running.get(each.rendition)) is not None and conversion.node == worker.node:
                self._judge(each)
        if worker.report.draining:
            self._move_away(worker)
        for rendition, conversion in self._running.items():
            if conversion.node == worker.node and not conversion.is_told(made.get(rendition)):
                self._state.send(conversion.node, conversion.order(rendition))
        self.settle()

    def bury(self, worker: Worker, *, stopped: bool) -> None:
        """Have what a dead worker made be made elsewhere; what it was subscribed to it is no more.

        Unless it was ``stopped`` in good order, something that it made may be what killed it. So each of these waits
        before it is given to the next one, the longer the more workers died with it.
        """
        self._promised.pop(worker.node, None)
        self._subscribed.pop(worker.node, None)
        self._given.pop(worker.node, None)
        for conversion in self._running.values():
            if conversion.former == worker.node:
                conversion.former = None
        for rendition in [each for each, conversion in self._running.items() if conversion.node == worker.node]:
            conversion = self._running.pop(rendition)
            if conversion.former is not None:  # which still makes it, and is to hand it to another
                self._running[rendition] = conversion.given_back(self._state.next_fence())
            if not stopped:
                deaths, until = self._suspected.get(rendition, (0, 0.0))
                deaths = deaths + 1 if self._state.now < until + FORGIVEN_AFTER else 1
                pause = SUSPENSION * (2 ** min(deaths - 1, MOST_DOUBLED) - 1)
                self._suspected[rendition] = deaths, self._state.now + pause
        self.settle()

    def settle(self) -> None:
        """Begin what is wanted, end what is not, and follow cameras whose tracks have changed."""
        wanted = self.wanted()
        for rendition in self._suspected.keys() - wanted:
            if self._state.now > self._suspected[rendition][1] + FORGIVEN_AFTER:
                del self._suspected[rendition]
        for rendition in [rendition for rendition in self._running if rendition not in wanted]:
            if not self._state.starting:
                self._end(rendition)
        for rendition in sorted(wanted):
            conversion = self._running.get(rendition)
            track = _source(self._camera(rendition), rendition) or (
                conversion.track if conversion is not None else None
            )
            if track is None:
                continue
            if conversion is None:
                self._begin(rendition, track)
                continue
            if (conversion.track, conversion.revision) != (track, revision := self._camera(rendition).spec.revision):
                conversion.track, conversion.revision, conversion.fence = track, revision, self._state.next_fence()
                self._state.send(conversion.node, conversion.order(rendition))
            self._let_former_go(rendition, conversion)
        self.waiting.note(wanted - self._running.keys() if self.hindrance == CONVERTERS_FULL else set())

    def worker(self, rendition: Rendition) -> NodeName | None:
        """The worker that makes it, ``None`` while nobody does."""
        conversion = self._running.get(rendition)
        return conversion.node if conversion is not None else None

    def wanted(self) -> set[Rendition]:
        """The renditions that are to be made."""
        wanted = set[Rendition]().union(*self._subscribed.values(), *self._promised.values())
        return {rendition for rendition in wanted if camera_of(rendition) in self._state.cameras}

    def _move_away(self, worker: Worker) -> None:
        """The worker drains: have others make what it makes, or end it where there is none."""
        for rendition, conversion in list(self._running.items()):
            if conversion.node != worker.node:
                continue
            former = conversion.former or worker.node
            if not any(each.takes(Role.TRANSCODE) for each in self._state.workers.values()):
                self._end(rendition)
                continue
            if conversion.former is not None:  # the successor drains as well, before it has begun
                self._state.send(worker.node, EndConversion(rendition))
            del self._running[rendition]
            self._begin(rendition, conversion.track)
            if (begun := self._running.get(rendition)) is not None:
                begun.former = former
            else:  # none has room now
                self._running[rendition] = conversion

    def _let_former_go(self, rendition: Rendition, conversion: _Conversion) -> None:
        since = conversion.made_since
        if conversion.former is not None and since is not None and self._state.now - since >= HANDED_OVER_AFTER:
            self._state.send(conversion.former, EndConversion(rendition))
            conversion.former = None

    def _end(self, rendition: Rendition) -> None:
        conversion = self._running.pop(rendition)
        for node in (conversion.node, conversion.former):
            if node is not None:
                self._state.send(node, EndConversion(rendition))

    def _camera(self, rendition: Rendition) -> Camera:
        return self._state.cameras[camera_of(rendition)]

    def _judge(self, made: Made) -> None:
        """Begin no more of what nothing comes of, for a while: its viewers are told so, and do not wait.

        That is over when another track comes, or something is made after all.
        """
        camera, kind = self._state.cameras.get(camera_of(made.rendition)), converted_kind(made.rendition)
        if camera is None or kind is None or made.problem is None or made.track not in camera.tracks:
            return
        if made.problem:
            camera.fruitless[kind] = made.problem, self._state.now + FRUITLESS_FOR
            self._state.changed.add(camera.spec.id)
        elif camera.fruitless.pop(kind, None) is not None:
            self._state.changed.add(camera.spec.id)

    def _has_room(self, worker: Worker) -> bool:
        """Whether a worker may be given one more: what it was given since it last told its load is not in that yet."""
        return worker.takes(Role.TRANSCODE) and not worker.report.full and self._given[worker.node] < MOST_AT_ONCE

    def _begin(self, rendition: Rendition, track: Track) -> None:
        workers = [worker for worker in self._state.workers.values() if self._has_room(worker)]
        if not workers or self._state.now < self._suspected.get(rendition, (0, 0.0))[1]:
            return
        busy = {w.node: w.report.load.cpu + CONVERSION_SHARE * self._given[w.node] for w in workers}
        worker = min(workers, key=lambda w: (busy[w.node], w.node))
        self._given[worker.node] += 1
        begun = _Conversion(worker.node, track, self._state.next_fence(), self._camera(rendition).spec.revision)
        self._running[rendition] = begun
        self._state.send(worker.node, begun.order(rendition))

    def _adopt(self, worker: Worker, made: Made) -> None:
        if converted_kind(made.rendition) is None or camera_of(made.rendition) not in self._state.cameras:
            return
        if worker.takes(Role.TRANSCODE):
            revision = (
                made.revision or self._camera(made.rendition).spec.revision
            )  # of a worker that knows of none, as it is now
            self._running[made.rendition] = _Conversion(worker.node, made.track, revision=revision)


def _made(names: Iterable[Rendition]) -> set[Rendition]:
    """The promised renditions that a converter makes."""
    return {name for name in names if converted_kind(name) is not None}


def _by_then(tracks: tuple[Track, ...]) -> set[Kind]:
    """The kinds that may be promised although all workers are full: all while nothing is known of a camera, and sound
    beside a picture, which plays until there is room."""
    pictured = any(track.kind is Kind.VIDEO and track.playable for track in tracks)
    return {*Kind} if not tracks else {Kind.AUDIO} if pictured else set()


def _source(camera: Camera, rendition: Rendition) -> Track | None:
    """The camera's track that a rendition is made of, once it is known."""
    kind = converted_kind(rendition)
    return next((track for track in camera.tracks if track.kind is kind and track.playable), None)
