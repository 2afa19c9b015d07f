"""An egress's successor without processes: a second stream of the same camera, and the session on it."""

from __future__ import annotations

from collections.abc import Sequence

from common.media import Batch, Kind, Rendition
from egress.media.stream import Stream
from egress.sender import Sender
from egress.succession import parting, resuming, states
from egress.succession.places import Place, Witness, place
from egress.viewer import Viewer
from egress.wire.ice import Path
from tests.fakes.session import IDENTITY, Session
from tests.fakes.target import FakeTarget

GOP = 10  # pictures


class Successor:
    """Gets ready beside the egress of a session, and takes it over. ``cached`` are pictures since the last keyframe."""

    def __init__(self, session: Session, cached: Sequence[Batch] = ()) -> None:
        self.session = session
        self.stream = Stream(session.stream.rendition, lambda: None, sources=session.sources)
        self.released: list[Rendition] = []
        self.before = {kind: self.told(kind) for kind in Kind}
        for kind in Kind:
            resuming.resume_feed(self.stream.feeds[kind], self.before[kind])
        self.witnesses = {kind: Witness(self.stream.feeds[kind]) for kind in Kind}
        if cached:
            self.stream.incoming.receive_replay(cached, now=session.now)

    def told(self, kind: Kind) -> states.FeedState:
        state = parting.feed_state(self.session.stream, kind, b"", self.session.now)
        decoded = states.decode(states.encode(state))
        assert decoded == state
        assert isinstance(decoded, states.FeedState)
        return decoded

    def acquire(self, rendition: Rendition) -> Stream:
        """See ``Renditions``."""
        assert rendition == self.stream.rendition
        return self.stream

    def release(self, *streams: Stream) -> None:
        """See ``Renditions``."""
        self.released += [stream.rendition for stream in streams]

    def places(self) -> dict[tuple[str, Kind], Place | None]:
        rendition = self.stream.rendition
        return {
            (rendition, kind): place(self.before[kind], self.told(kind), self.witnesses[kind], self.stream.feeds[kind])
            for kind in Kind
        }

    def made(self, state: states.SessionState) -> Viewer:
        """The session, as it comes of its words."""

        def behind(sender: Sender) -> None:
            self.session.behind.append(sender)

        def way(path: Path) -> FakeTarget:
            assert path == self.session.target.path
            return self.session.target

        here = resuming.Here(IDENTITY, "cname", behind, self, way)
        return resuming.viewer_of(state, here, self.session.now)

    def take_over(self) -> None:
        """Have the session of the browser go on here."""
        session = self.session
        former = session.viewer
        assert parting.movable(former)
        stopped = parting.stop(former)
        state = parting.state_of(former)
        decoded = states.decode(states.encode(state))
        assert decoded == state
        assert isinstance(decoded, states.SessionState)
        stopped.forget()
        session.behind.clear()
        viewer = self.made(decoded)
        resuming.begin(viewer, decoded, self.places(), session.now)
        session.viewer, session.stream = viewer, self.stream


def play(session: Session, count: int, *beside: Successor) -> list[Batch]:
    """Let the camera send pictures, which others get as well. Returns them."""
    seen: list[Batch] = []

    def source(before: object) -> object:
        for batch in before:  # type: ignore[attr-defined]
            seen.append(batch)
            for each in beside:
                each.stream.incoming.receive(batch, now=session.now, unix_ns=batch.arrival_ns)
            yield batch

    before = session.source
    session.source = source(before)  # type: ignore[assignment]
    session.play(count)
    session.source = before
    return seen


def ready(session: Session) -> Successor:
    """A successor that has seen what is cached, and a little more."""
    cached = play(session, GOP + 5)[GOP:]
    successor = Successor(session, cached)
    play(session, 3, successor)
    return successor
