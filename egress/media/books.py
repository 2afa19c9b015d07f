"""Ordinary pictures and sound on their way to viewers: what is done before they leave, and the books of them later.

Nearly all that comes is the next picture or piece of sound of a stream that few watch, and leaves by one compiled call.
What is remembered of it (history, meter, clock, delay, what has arrived) is entered for several of them at once: with
few pictures a second the processor's caches are cold, and some twenty functions and what they touch have to be fetched
from memory, for one picture as for eight.

Two rules keep that invisible, and ``Feed`` and ``Incoming`` see to both:

* Who looks at what is remembered calls ``settle`` first.
* Who changes what a ``Course`` was made of calls ``end``; the next picture is looked at as all were before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from common.clock import unix_ns
from common.media import Kind, is_video
from common.worker.incoming import Incoming
from egress import native

SILENT = 0.25  # seconds in which a stream that flows brings something
MOST_UNSETTLED = 8  # pictures and pieces of sound: a viewer's budget and a report are never further behind than that

_PACKETS, _ARRIVAL = 7, 4  # in what is found of a batch


class Course(NamedTuple):
    """How ordinary pictures or sound of a feed leave, for as long as nothing about it changes."""

    audience: native.Audience
    named: bytes  # kind and codec that they have to have
    most: int  # packets
    header: bytes
    marker: int
    offset: int  # of their timestamps
    first: int  # index of the next packet


class Passed(NamedTuple):
    """A picture, or a piece of sound, that has left and is not entered yet."""

    feed: Passing
    frame: bytes
    found: native.Found
    now: float  # monotonic …
    now_ns: int  # … and Unix time at which it came …
    sent_ns: int  # … and left


class Passing(Protocol):
    """A feed, as its books have it."""

    kind: Kind

    def course(self, epoch: int) -> Course | None:
        """How ordinary pictures or sound of that epoch leave now; ``None`` if not by one call."""

    def enter(self, frame: bytes, found: native.Found, now: float) -> None:
        """Remember what has left."""

    def lacking(self, refused: native.Refused, first: int) -> None:
        """Tell those of whom the system did not take the last that was entered, from index ``first`` on."""


class _Way:
    """A course that is kept to, and the batch that is due on it."""

    __slots__ = ("course", "early_ns", "epoch", "feed", "index", "number", "until")

    def __init__(self, feed: Passing, course: Course, due: tuple[int, int, int, float]) -> None:
        self.feed, self.course, self.index = feed, course, course.first
        self.epoch, self.number, self.early_ns, self.until = due


class Books:
    """The books of one stream: of its ``feeds``, by kind, and of ``incoming``. ``delayed`` gets the delay of each."""

    __slots__ = ("_delayed", "_feeds", "_incoming", "_passed", "_ways")

    def __init__(
        self, feeds: Mapping[str, Passing], incoming: Incoming, delayed: Callable[[int], object] = lambda _ns: None
    ) -> None:
        self._feeds, self._incoming, self._delayed = feeds, incoming, delayed
        self._ways: dict[bool, _Way] = {}  # by whether it is the picture's
        self._passed: list[Passed] = []

    def pass_on(self, frame: bytes, at: int, now: float, now_ns: int) -> bool:
        """Send the ordinary picture or sound at ``at`` in a frame of the bus to those who watch.

        ``False``, and nothing has happened, if it is another, or they cannot be sent it by one call. To be called only
        where ``egress.native`` was built.
        """
        video = is_video(frame, at)
        way = self._ways.get(video)
        if way is None or now > way.until:
            way = self._begin(video, now)
            if way is None:
                return False
        audience, named, most, header, marker, offset, _ = way.course
        due = way.epoch, way.number, now_ns - way.early_ns
        sent = audience.pass_on(frame, at, named, most, due, header, marker, offset, way.index)
        if sent is None:
            return False
        found, refused = sent
        packets = found[_PACKETS]
        way.number += packets
        way.index += packets
        passed = self._passed
        passed.append(Passed(way.feed, frame, found, now, now_ns, unix_ns()))
        if refused:
            self.end(way.feed.kind)
            way.feed.lacking(refused, way.index - packets)
        elif len(passed) >= MOST_UNSETTLED:
            self.settle()
        return True

    def newest(self, kind: str | None = None) -> float | None:
        """Monotonic time of the newest of a kind, or of any, that is not entered; ``None`` if there is none."""
        return next((each.now for each in reversed(self._passed) if kind in (None, each.feed.kind)), None)

    def look(self, now: float) -> None:
        """Enter what has left if nothing more comes; to be called now and then."""
        if self._passed and now - self._passed[-1].now > SILENT:
            self.settle()

    def settle(self) -> None:
        """Enter what has left."""
        passed = self._passed
        if not passed:
            return
        self._passed = []
        for feed, frame, found, now, now_ns, sent_ns in passed:
            arrival_ns = found[_ARRIVAL]
            feed.enter(frame, found, now)
            self._incoming.passed(feed.kind, found[_PACKETS], now=now, transit_ns=now_ns - arrival_ns)
            self._delayed(sent_ns - arrival_ns)

    def end(self, kind: str | None = None) -> None:
        """Enter what has left, and keep to no course of that kind any more, or of any: something of it changes."""
        self.settle()
        if kind is None:
            self._ways.clear()
        else:
            self._ways.pop(kind == Kind.VIDEO, None)

    def _begin(self, video: bool, now: float) -> _Way | None:
        """The way of the next picture, or sound; ``None`` if that has to go by the usual one."""
        self.settle()
        feed = self._feeds[Kind.VIDEO if video else Kind.AUDIO]
        due = self._incoming.due(feed.kind, now=now)
        course = feed.course(due[0]) if due is not None else None
        if due is None or course is None:
            self._ways.pop(video, None)
            return None
        way = self._ways[video] = _Way(feed, course, due)
        return way
