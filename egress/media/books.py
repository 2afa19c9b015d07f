"""Ordinary pictures and sound on their way to viewers: what is done before they leave, and the books of them later.

Nearly all that comes is the next picture or piece of sound of a stream that few watch, and leaves by one compiled call.
What is remembered of it (history, meter, clock, delay, what has arrived) is entered for several of them at once: with
few pictures a second the processor's caches are cold, and some twenty functions and what they touch have to be fetched
from memory, for one picture as for eight.

Two rules keep that invisible, and ``Feed`` and ``Incoming`` see to both:

* Who looks at what is remembered calls ``settle`` first.
* Who changes what a way was made of calls ``end``; the next picture is looked at as all were before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from common.clock import unix_ns
from common.media import Kind, is_video
from common.worker.incoming import Incoming
from egress import native

SILENT = 0.25  # seconds in which a stream that flows brings something
MOST_UNSETTLED = 8  # pictures and pieces of sound: a viewer's budget and a report are never further behind than that

_PACKETS, _ARRIVAL = 7, 4  # in what is found of a batch


Passed = tuple["Passing", bytes, native.Slot, float, int, int]
"""A picture, or a piece of sound, that has left and is not entered yet: its feed and frame, where it is to be read, the
monotonic and the Unix time at which it came, and that at which it left. Times of Unix are in nanoseconds."""


class Passing(Protocol):
    """A feed, as its books have it."""

    kind: Kind

    def way(self, due: tuple[int, int, int, int]) -> native.Passage | None:
        """The way of ordinary pictures or sound, of which that is due; ``None`` if they do not leave by one call."""

    def enter(self, frame: bytes, found: native.Found, now: float) -> None:
        """Remember what has left."""

    def lacking(self, refused: native.Refused, frame: bytes, found: native.Found, first: int) -> None:
        """Tell those of whom the system did not take the last that was entered, from index ``first`` on."""


class Books:
    """The books of one stream: of its ``feeds``, by kind, and of ``incoming``. ``delayed`` gets the delay of each."""

    __slots__ = ("_delayed", "_feeds", "_incoming", "_passed", "_ways")

    def __init__(
        self, feeds: Mapping[str, Passing], incoming: Incoming, delayed: Callable[[int], object] = lambda _ns: None
    ) -> None:
        self._feeds, self._incoming, self._delayed = feeds, incoming, delayed
        self._ways: dict[
            bool, tuple[Passing, native.Passage, float]
        ] = {}  # picture's and sound's, until when they hold
        self._passed: list[Passed] = []

    def pass_on(self, frame: bytes, at: int, now: float, now_ns: int) -> bool:
        """Send the ordinary picture or sound at ``at`` in a frame of the bus to those who watch.

        ``False``, and nothing has happened, if it is another, or they cannot be sent it by one call. To be called only
        where ``egress.native`` was built.
        """
        video = is_video(frame, at)
        begun = self._ways.get(video)
        if begun is None or now > begun[2]:
            begun = self._begin(video, now)
            if begun is None:
                return False
        feed, way, _ = begun
        slot = way.pass_on(frame, at, now_ns)
        if slot is None:
            return False
        passed = self._passed
        passed.append((feed, frame, slot, now, now_ns, unix_ns()))
        if way.was_refused:
            self.end(feed.kind)
            found = native.found_in(slot)
            feed.lacking(way.refused, frame, found, way.first - found[_PACKETS])
        elif len(passed) >= MOST_UNSETTLED:
            self.settle()
        return True

    def newest(self, kind: str | None = None) -> float | None:
        """Monotonic time of the newest of a kind, or of any, that is not entered; ``None`` if there is none."""
        return next((now for feed, *_, now, _, _ in reversed(self._passed) if kind in (None, feed.kind)), None)

    def look(self, now: float) -> None:
        """Enter what has left if nothing more comes; to be called now and then."""
        if now - (self.newest() or now) > SILENT:
            self.settle()

    def settle(self) -> None:
        """Enter what has left."""
        passed = self._passed
        if not passed:
            return
        self._passed = []
        for feed, frame, slot, now, now_ns, sent_ns in passed:
            found = native.found_in(slot)
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

    def _begin(self, video: bool, now: float) -> tuple[Passing, native.Passage, float] | None:
        """The way of the next picture, or sound; ``None`` if that has to go by the usual one."""
        self.settle()
        feed = self._feeds[Kind.VIDEO if video else Kind.AUDIO]
        due = self._incoming.due(feed.kind, now=now)
        way = feed.way(due[:4]) if due is not None else None
        if due is None or way is None:
            self._ways.pop(video, None)
            return None
        begun = self._ways[video] = feed, way, due[4]
        return begun
