"""A viewer's way from one stream of its camera to another: the old picture stays until the new one begins; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from common.cameras import CameraName
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
    """A ``Listener`` of the feed that is to come: ``on_start`` is called with the index that a receiver can start at.

    ``streams`` are those that the viewer of ``camera`` is to get, by kind. Sound follows the picture, where there is
    one.
    """

    def __init__(
        self, camera: CameraName, streams: Mapping[Kind, Stream], on_start: Callable[[Kind, int], None]
    ) -> None:
        self.camera = camera
        self.streams = dict(streams)
        self._kind = Kind.VIDEO if Kind.VIDEO in streams else Kind.AUDIO
        self._on_start = on_start
        self._feed.add(self)

    @property
    def _feed(self) -> Feed:
        return self.streams[self._kind].feeds[self._kind]

    def end(self) -> None:
        """Listen no more."""
        self._feed.discard(self)

    # See ``Listener``. It is never live, so that nothing but a start concerns it.

    def may_start(self, index: int) -> None:
        """See ``Listener``."""
        self.end()
        self._on_start(self._kind, index)

    def fall_behind(self, index: int) -> None:
        """See ``Listener``."""

    def slow_down(self, index: int) -> None:
        """See ``Listener``."""

    def skip_ahead(self, index: int) -> None:
        """See ``Listener``."""

    def format_changed(self) -> None:
        """See ``Listener``."""
