"""An egress's successor without processes: a second stream of the same camera, and the session on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from common.media import Batch, Kind, Rendition
from egress.media.stream import Stream
from egress.sender import Sender
from egress.succession import parting, resuming, states, words
from egress.succession.advance import Advance, changed
from egress.succession.places import Place, Witness, place
from egress.viewer import Viewer
from egress.wire.ice import Path
from tests.fakes.session import IDENTITY, Session
from tests.fakes.target import FakeTarget

GOP = 10  # pictures

Word = TypeVar("Word", bound=words.Message)


class Successor:
    """Gets ready beside the egress of a session, and takes it over. ``cached`` are pictures since the last keyframe."""

    def __init__(self, session: Session, cached: Sequence[Batch] = ()) -> None:
        self.session = session
        self.stream = Stream(session.stream.rendition, lambda: None, sources=session.sources)
        self.released: list[Rendition] = []
        self._advance = Advance()
        self.before = {kind: self.told(kind) for kind in Kind}
        for kind in Kind:
            resuming.resume_feed(self.stream.feeds[kind], self.before[kind])
        self.witnesses = {kind: Witness(self.stream.feeds[kind]) for kind in Kind}
        if cached:
            self.stream.incoming.receive_replay(cached, now=session.now)

    def told(self, kind: Kind) -> states.FeedState:
        return _heard(parting.feed_state(self.session.stream, kind, b"", self.session.now))

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

    def prepared(self, state: states.SessionState) -> Viewer:
        """The session, as far as media does not change it."""

        def behind(sender: Sender) -> None:
            self.session.behind.append(sender)

        return resuming.prepared(state, resuming.Here(IDENTITY, "cname", behind, self), self.session.now)

    def made(self, state: states.SessionState) -> Viewer:
        """The session, as it comes of its words."""
        viewer = self.prepared(state)
        resuming.complete(viewer, state, self._way, self.session.now)
        return viewer

    def hear_ahead(self) -> None:
        """Be told of the session, which goes on meanwhile."""
        state = _heard(parting.state_of(self.session.viewer))
        self._advance.add(state)
        self._ahead = state, self.prepared(state)

    def _at_last(self, state: states.SessionState) -> tuple[states.SessionState, Viewer]:
        word = self._advance.since(state)
        if isinstance(word, states.SessionState):
            return state, self.made(_heard(word))
        before, viewer = self._ahead
        now = changed(before, _heard(words.SessionChanges((word,))).changes[0])
        assert now == state
        resuming.complete(viewer, now, self._way, self.session.now, before)
        return now, viewer

    def _way(self, path: Path) -> FakeTarget:
        assert path == self.session.target.path
        return self.session.target

    def take_over(self) -> None:
        """Have the session of the browser go on here."""
        session = self.session
        former = session.viewer
        assert parting.movable(former)
        stopped = parting.stop(former)
        state = parting.state_of(former)
        stopped.forget()
        session.behind.clear()
        now, viewer = self._at_last(state)
        resuming.begin(viewer, now, self.places(), session.now)
        session.viewer, session.stream = viewer, self.stream


def _heard(word: Word) -> Word:
    decoded = words.decode(words.encode(word))
    assert decoded == word
    assert isinstance(decoded, type(word))
    return decoded


def play(session: Session, count: int, *beside: Successor) -> list[Batch]:
    """Let the camera send pictures, which others get as well. Returns them."""
    seen: list[Batch] = []

    def source(before: object) -> object:
        for batch in before:  # type: ignore[attr-defined]  # the session's source is no more typed
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
