"""Hands what one read of a connection brought to the tracks, without a look at each packet where it can; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import cast

from ingest.rtp.shortcut import Shortcut
from ingest.rtsp.message import Request, Response
from ingest.rtsp.parser import MAX_EVENTS, MAX_FRAMES, FrameRun, Parser, Read, Take

Route = Callable[[memoryview, Sequence[tuple[int, int]], int], None]
"""Takes packets of one channel, each between two places of what was received, and the time at which they came."""


class Interleaved:
    """The packets of one connection. ``answered`` gets what is no packet, and may be what opens the routes."""

    __slots__ = ("_answered", "_channel", "_parser", "before", "routes", "shortcuts", "stray", "takes", "whole")

    def __init__(self, parser: Parser, answered: Callable[[Request | Response], None]) -> None:
        self.before: Callable[[], object] = lambda: None  # called before anything but ``takes`` gets something
        self.routes: dict[int, Route] = {}  # by interleaved channel
        self.stray: Callable[[int, memoryview, Sequence[tuple[int, int]], int], None] | None = None  # takes the others
        self.takes: Mapping[int, Take] = {}  # what takes pictures and sound past the routes, by channel, …
        self.shortcuts: Mapping[int, Shortcut] = {}  # which these are of
        self._channel = -1  # … and that of the picture
        self.whole = False  # the last read brought nothing but whole pictures and packets of sound
        self._parser, self._answered = parser, answered

    def open(
        self,
        routes: dict[int, Route],
        takes: Mapping[int, Take],
        channel: int = -1,
        shortcuts: Mapping[int, Shortcut] = MappingProxyType({}),
    ) -> None:
        """Take packets from now on; whole pictures come on ``channel``."""
        self.routes, self.takes, self._channel, self.shortcuts = routes, takes, channel, shortcuts
        self._parser.channels = frozenset(routes) or None

    def close(self) -> None:
        """Take nothing any more."""
        self.routes, self.takes, self.shortcuts, self.stray = {}, {}, {}, None

    def read(self, size: int, arrival_ns: int) -> int:
        """Read ``size`` bytes, which lie in the parser's buffer. Returns the number of packets and messages in them.

        Raises ``ProtocolError``, and what ``answered`` raises.
        """
        parser, takes = self._parser, self.takes
        if not takes:
            self.whole = False
            self.before()
            return self._hand_out(parser.advance(size), arrival_ns)
        count = parser.hand_over(size, takes, arrival_ns)
        self.whole = not parser.partial
        if not self.whole:
            self.before()
            count += self._hand_out(parser.advance(0, self._channel), arrival_ns)
            events = parser.events
            while parser.stopped:  # between pieces of sound, or messages, there are whole pictures
                if count >= MAX_FRAMES or events >= MAX_EVENTS:
                    parser.more = True
                    break
                count += parser.hand_over(0, takes, arrival_ns)
                count += self._hand_out(parser.advance(0, self._channel, MAX_EVENTS - events), arrival_ns)
                events += parser.events
        return count

    def _hand_out(self, messages: list[Read], arrival_ns: int) -> int:
        count = 0
        for message in messages:
            if type(message) is FrameRun:
                channel, data, bounds = message
                count += len(bounds)
                receive = self.routes.get(channel)
                if receive is not None:
                    receive(data, bounds, arrival_ns)
                elif self.stray is not None:
                    self.stray(channel, data, bounds, arrival_ns)
            else:
                count += 1
                self._answered(cast(Request | Response, message))
        return count
