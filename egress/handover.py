"""A viewer's way from one stream of its camera to another: the old picture stays until the new one begins; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from common.media import Kind, Rendition
from egress.media.feed import Feed
from egress.media.stream import Stream


class Renditions(Protocol):
    """The streams of the process, as a viewer takes and gives back those that it is sent."""

    def acquire(self, rendition: Rendition) -> Stream:
        """The stream of ``rendition``, kept from now on."""

    def release(self, *streams: Stream) -> None:
        """These are not needed any more."""


class Handover:
    """A ``Listener`` of the feed that a viewer is to get of one kind.

    ``on_start`` is called with itself and the index of each batch that a receiver can start with, until ``end``.
    """

    def __init__(self, kind: Kind, stream: Stream, on_start: Callable[[Handover, int], None]) -> None:
        self.kind = kind
        self.stream = stream
        self._on_start = on_start
        self.feed.add(self)

    @property
    def feed(self) -> Feed:
        """The feed that is to come."""
        return self.stream.feeds[self.kind]

    def end(self) -> None:
        """Listen no more."""
        self.feed.discard(self)

    # See ``Listener``. It is never live, so that nothing but a start concerns it.

    def may_start(self, index: int) -> None:
        """See ``Listener``."""
        self._on_start(self, index)

    def fall_behind(self, index: int) -> None:
        """See ``Listener``."""

    def slow_down(self, index: int) -> None:
        """See ``Listener``."""

    def skip_ahead(self, index: int) -> None:
        """See ``Listener``."""

    def format_changed(self) -> None:
        """See ``Listener``."""
