"""The streams that one viewer gets each kind of, and its way from one to another; pure.

A viewer may be moved between the streams of its camera, and from what the camera sends to what a converter makes of it.
The old picture stays until the new one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from common.cameras import NOTHING, CameraName
from common.media import Kind, Rendition, converted
from egress.media.feed import Feed
from egress.media.stream import Stream
from egress.negotiation import Section
from egress.sender import Sender

CONVERTED_WITHIN = 5.0  # seconds for the first of what a converter is to make for a session that goes on with it


class Renditions(Protocol):
    """The streams of the process, as a viewer takes and gives back those that it is sent."""

    def acquire(self, rendition: Rendition) -> Stream:
        """The stream of ``rendition``, kept from now on."""

    def release(self, *streams: Stream) -> None:
        """Let streams go that are not needed any more."""


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


class Showing:
    """The streams of one viewer. ``camera`` is the one that leads; ``declined`` one that its browser cannot be shown.

    ``senders``, by SSRC, are there once media flows.
    """

    def __init__(
        self,
        camera: CameraName,
        streams: Mapping[Kind, Stream],
        sections: Iterable[Section],
        senders: Mapping[int, Sender],
        renditions: Renditions,
        declined: CameraName,
    ) -> None:
        self.camera = camera
        self.streams = dict(streams)
        self.declined = declined
        self._sections = {section.kind: section for section in sections}  # all that is kept of the offer
        self._senders = senders
        self._renditions = renditions
        self._handovers: dict[Kind, Handover] = {}
        self._going = camera  # where it is moved
        self._order: tuple[CameraName, dict[Kind, Rendition]] = NOTHING, {}  # the last one
        self._unplayable: dict[Kind, tuple[str, float]] = {}  # codecs that it goes on without, and since when

    @property
    def sections(self) -> Iterable[Section]:
        """The session's sections of media."""
        return self._sections.values()

    @property
    def beside(self) -> CameraName:
        """Another stream than the one that leads, of which it still gets something."""
        return next((each.camera for each in self.streams.values() if each.camera != self.camera), NOTHING)

    def sender(self, kind: Kind) -> Sender | None:
        """The sender of a kind, if there is one."""
        stream = self.streams.get(kind)
        return self._senders.get(stream.feeds[kind].source.ssrc) if stream is not None else None

    def codec(self, kind: Kind) -> str:
        """The codec of a kind, as people are told; empty while nothing is sent."""
        sender = self.sender(kind)
        if kind not in self.streams:
            return "not negotiated"
        return sender.format.codec.partition("/")[0] if sender is not None and sender.format is not None else ""

    def overdue(self, now: float) -> str:
        """The codec that was to be converted, and of which nothing has come in time; empty if there is none.

        Sound beside a picture may come later: its converter may have no room yet.
        """
        for kind, (codec, since) in tuple(self._unplayable.items()):
            if self.streams[kind].feeds[kind].codec:
                del self._unplayable[kind]
            elif now - since > CONVERTED_WITHIN and kind is self._lead:
                return codec
        return ""

    def close(self) -> None:
        """Give back everything."""
        self._stay()
        self._renditions.release(*self.streams.values())

    def move(
        self, camera: CameraName, renditions: Mapping[Kind, Rendition], now: float, *, flooded: bool = False
    ) -> None:
        """Show another stream of the camera: of each kind that rendition, from the cached or the next keyframe on.

        Until then everything stays as it is. Sound follows the picture, and stays what it is where there is no other.
        Without anything to lead, or if the session takes nothing of what comes, the move is declined: reports say so.

        Of the old picture nothing more is sent where the path is ``flooded``: what is lost of it is not shown, and all
        of it would be in the way of the new one. It begins again with its next keyframe.
        """
        wanted = {kind: renditions[kind] for kind in self.streams if kind in renditions}
        if (camera, wanted) == self._order and camera != self.declined:
            return  # it is on its way: what comes may have to be converted first
        self._order = camera, wanted
        self._stay()
        self.declined = NOTHING
        if self._lead not in wanted:
            self.declined = camera
            return
        self._going = camera
        for kind, rendition in wanted.items():
            if self.streams[kind].rendition != rendition:
                self._handovers[kind] = Handover(kind, self._renditions.acquire(rendition), self._hand_over)
        if self._lead not in self._handovers:
            self.camera = camera
        if not self._senders:  # nothing was sent that could stay
            for handover in tuple(self._handovers.values()):
                self._complete(handover)
        elif (lead := self._handovers.get(self._lead)) is not None and lead.feed.fresh(now):
            self._hand_over(lead, None)
            if (sender := self.sender(self._lead)) is not None:
                sender.cursor.begin(now)
        if self._lead in self._handovers and (sender := self.sender(self._lead)) is not None:
            sender.cursor.expect_other(True)
            if flooded:
                sender.cursor.give_up()

    def convert(self, sender: Sender, now: float) -> bool:
        """The camera sends what the session does not take: go on with what a converter makes. Whether that can be."""
        kind, codec = sender.feed.kind, sender.feed.codec
        wanted = converted(self.streams[kind].camera, kind, self._sections[kind].made)
        if not self._sections[kind].convertible or self.streams[kind].rendition == wanted:
            return False
        stream = self._renditions.acquire(wanted)
        if (handover := self._handovers.get(kind)) is not None and handover.stream.rendition == wanted:
            self._drop(handover)  # a move to the same is under way, which would begin it twice
        self._change(kind, stream)
        self._unplayable[kind] = codec, now
        sender.cursor.begin(now)
        return True

    @property
    def _lead(self) -> Kind:
        """The kind that the others follow."""
        return Kind.VIDEO if Kind.VIDEO in self.streams else Kind.AUDIO

    def _hand_over(self, handover: Handover, index: int | None) -> None:
        """Begin to show a feed that can begin now, at ``index`` if that is what comes next."""
        kind, feed = handover.kind, handover.feed
        if kind is not self._lead and self._lead in self._handovers:
            return  # the picture comes first
        section = self._sections[kind]
        instead = converted(self._going, kind, section.made)
        if section.choose(feed.codec, feed.profile) is not None:
            self._complete(handover)
            if (sender := self.sender(kind)) is not None and index is not None:
                sender.cursor.may_start(index)
            return
        self._drop(handover)
        if section.convertible and handover.stream.rendition != instead:
            self._handovers[kind] = Handover(kind, self._renditions.acquire(instead), self._hand_over)
        elif kind is self._lead:
            self.declined = self._going
            self._stay()

    def _complete(self, handover: Handover) -> None:
        """From here on the viewer gets what it was to get of that kind."""
        handover.end()
        del self._handovers[handover.kind]
        if handover.kind is self._lead:
            self.camera = self._going
        self._change(handover.kind, handover.stream)

    def _drop(self, handover: Handover) -> None:
        handover.end()
        del self._handovers[handover.kind]
        self._renditions.release(handover.stream)

    def _change(self, kind: Kind, stream: Stream) -> None:
        """Get that kind from another stream, which was acquired."""
        sender = self.sender(kind)
        before, self.streams[kind] = self.streams[kind], stream
        self._unplayable.pop(kind, None)
        if sender is not None:
            sender.change_feed(stream.feeds[kind])
        self._renditions.release(before)

    def _stay(self) -> None:
        """Give up a move, as far as it has not happened yet."""
        for handover in tuple(self._handovers.values()):
            self._drop(handover)
        self._going = self.camera
        for sender in self._senders.values():
            sender.cursor.expect_other(False)
