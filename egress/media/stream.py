"""One rendition as viewers are sent it: a feed for each kind of track."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from common.cameras import CameraName
from common.media import Kind, Rendition, camera_of
from common.worker.incoming import Incoming
from egress.media.books import Books
from egress.media.feed import Feed, Source
from egress.media.history import Histories
from egress.media.outbox import Later, at_once


class Stream:
    """``incoming`` takes what comes from the bus, and ``request_replay`` is its; for ``later`` see ``Outbox``.

    ``delayed`` gets the delay of what ``books`` pass on, in nanoseconds.
    """

    def __init__(
        self,
        rendition: Rendition,
        request_replay: Callable[[], None],
        later: Later = at_once,
        histories: Histories | None = None,
        sources: Mapping[Kind, Source] | None = None,
        delayed: Callable[[int], object] = lambda _ns: None,
    ) -> None:
        self.rendition = rendition
        sources = sources or {kind: Source() for kind in Kind}
        self.feeds: dict[str, Feed] = {kind: Feed(kind, later, histories, sources[kind]) for kind in Kind}
        self.picture, self.sound = self.feeds[Kind.VIDEO], self.feeds[Kind.AUDIO]
        self.incoming = Incoming(self.feeds, request_replay)
        self.books = Books(self.feeds, self.incoming, delayed)
        self.incoming.books = self.picture.books = self.sound.books = self.books

    @property
    def camera(self) -> CameraName:
        """The camera that it shows."""
        return camera_of(self.rendition)

    @property
    def epoch(self) -> int:
        """The newest epoch that came; 0 before anything did."""
        return self.incoming.expects(Kind.VIDEO)[0]

    def forget(self) -> None:
        """Let nobody begin with what has come: it may be of another camera that had the name."""
        for feed in self.feeds.values():
            feed.forget()

    @property
    def overloads(self) -> int:
        """Times that this process was too slow for all its viewers."""
        return sum(feed.overloads for feed in self.feeds.values())

    @property
    def statistics(self) -> Counter[str]:
        """Counters for reports."""
        return self.incoming.counters + Counter(overloads=self.overloads)
