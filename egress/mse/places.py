"""A viewer's places in the reels that it is sent: what is next, what it skips, and how it gets to other reels; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from common.cameras import NOTHING, CameraName
from common.media import Kind
from egress.media.stream import Stream
from egress.mse.reel import MAX_LAG, Beginning, FragmentMessage, Reel, Send


class Reels(Protocol):
    """The reels of the process, as a viewer takes and gives them back. Times are since ``origin_ns``, Unix time."""

    origin_ns: int

    def acquire(self, stream: Stream, kind: Kind) -> Reel:
        """The reel of a stream's feed. The stream, which was acquired, is kept with it."""

    def release(self, reel: Reel) -> None:
        """Let a reel go, and its stream with it."""


class ReelCursor:
    """A place in one reel. ``next`` is the index of the next fragment, ``None`` before there is one to begin with.

    While it is live (``since`` is set) its next is the reel's ``live_end``, and the reel counts what it gets.
    """

    __slots__ = ("began", "next", "reel", "since")

    def __init__(self, reel: Reel) -> None:
        self.reel = reel
        self.began: Beginning | None = None  # the one that was sent last
        self.since: tuple[int, int] | None = None  # what the reel had sent when it became live: fragments, bytes
        self.next: int | None = None
        self.restart()

    def restart(self) -> None:
        """Begin with the newest keyframe, or with the newest sound."""
        self.began, self.next = None, self.reel.keyframe

    def got(self) -> tuple[int, int]:
        """The fragments and bytes that it got live, until now."""
        if self.since is None:
            return 0, 0
        made, octets = self.since
        return self.reel.made - made, self.reel.octets - octets

    def due(self) -> FragmentMessage | None:
        """The next fragment, if it is there and has not been dropped."""
        at, reel = self.next, self.reel
        return reel.get(at) if at is not None and reel.start <= at < reel.end else None


class Places:
    """The cursors of one viewer.

    It is told by ``on_news`` that there is something to ``take``, by ``on_lost`` of a picture that cannot be sent any
    more, and by ``on_stuck`` of a message that was sent live, and how much of it was taken.
    """

    def __init__(
        self,
        camera: CameraName,
        streams: Mapping[Kind, Stream],
        takes: frozenset[str],
        reels: Reels,
        on_news: Callable[[], None],
        on_lost: Callable[[str], None],
        on_stuck: Callable[[bytes, int], None],
    ) -> None:
        self.camera = camera
        self.skipped = 0  # fragments
        self._taken = 0  # fragments
        self._live_octets = 0  # of those that were sent live
        self.pictured = False  # whether a picture was taken
        self._takes = takes
        self._reels = reels
        self._on_news, self._on_lost, self._on_stuck = on_news, on_lost, on_stuck
        self._cursors = {kind: ReelCursor(reels.acquire(stream, kind)) for kind, stream in streams.items()}
        self._coming: dict[Kind, Reel] = {}  # that it goes on in once they can be begun with
        self._going = camera
        for cursor in self._cursors.values():
            cursor.reel.watchers[self] = None

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of media that it is sent, or may be yet."""
        return [kind for kind, cursor in self._cursors.items() if self._sendable(cursor.reel)]

    @property
    def lead(self) -> ReelCursor | None:
        """The picture's place, that of sound where there is none."""
        return self._cursors.get(self._leading)

    @property
    def beside(self) -> CameraName:
        """Another stream than ``camera``, of which it still gets something."""
        cameras = (cursor.reel.stream.camera for cursor in self._cursors.values())
        return next((camera for camera in cameras if camera != self.camera), NOTHING)

    @property
    def messages(self) -> int:
        """Fragments that it was sent."""
        return self._taken + sum(cursor.got()[0] for cursor in self._cursors.values())

    @property
    def live_octets(self) -> int:
        """Bytes that it was sent live."""
        return self._live_octets + sum(cursor.got()[1] for cursor in self._cursors.values())

    def codec(self, kind: Kind) -> str:
        """The codec of what it is sent, or why it is sent nothing."""
        cursor = self._cursors.get(kind)
        if cursor is None:
            return "not negotiated"
        codec = cursor.reel.codec
        return codec if self._sendable(cursor.reel) else f"{codec}, which its Media Source Extensions do not take"

    def take(self) -> bytes | None:
        """The message that is to be sent next, oldest first; ``None`` if there is none."""
        chosen, oldest = None, None
        for cursor in self._cursors.values():
            due = cursor.due()
            if due is not None and (oldest is None or due.seconds < oldest.seconds) and self._sendable(cursor.reel):
                chosen, oldest = cursor, due
        if chosen is None or oldest is None:
            return None
        chosen.next = oldest.index + 1
        self._taken += 1
        if chosen.reel.kind is Kind.VIDEO:
            self.pictured = True
        if chosen.began is oldest.beginning:
            return oldest.data
        chosen.began = oldest.beginning
        return oldest.beginning.data + oldest.data

    def go_live(self, send: Send) -> None:
        """Have ``send`` called with what comes from now on, as all there is has been sent."""
        for cursor in self._cursors.values():
            reel = cursor.reel
            if cursor.since is None and cursor.next == reel.end and self._sendable(reel):
                reel.flush()
                cursor.since = reel.made, reel.octets
                reel.watchers.pop(self, None)
                reel.live[self] = send

    def restart(self) -> None:
        """Begin anew."""
        self.leave_live()
        for cursor in self._cursors.values():
            cursor.restart()

    def move(self, camera: CameraName, streams: Mapping[Kind, Stream]) -> None:
        """Go on in these streams, which were acquired: of each kind from the newest or next keyframe on."""
        self.leave_live()
        for reel in self._coming.values():
            self._leave(reel)
        self._coming, self._going = {}, camera
        for kind, stream in streams.items():
            reel = self._reels.acquire(stream, kind)
            cursor = self._cursors.get(kind)
            if cursor is None or cursor.reel is reel:  # a session keeps the kinds that it began with
                self._reels.release(reel)
                continue
            self._coming[kind] = reel
            reel.watchers[self] = None
            if reel.keyframe is not None:
                self._go_on(kind)
        self._arrive()
        self._on_news()

    def close(self) -> None:
        """Give everything back."""
        self.leave_live()
        for reel in [*(cursor.reel for cursor in self._cursors.values()), *self._coming.values()]:
            self._leave(reel)
        self._cursors, self._coming = {}, {}

    # See ``Watcher``.

    def arrived(self, reel: Reel, frame: FragmentMessage) -> None:
        """See ``Watcher``."""
        cursor = self._cursors.get(reel.kind)
        if cursor is None or cursor.reel is not reel:
            if frame.keyframe and self._coming.get(reel.kind) is reel:
                self._go_on(reel.kind)
                self._arrive()
                self._on_news()
            return
        if cursor.next != frame.index and not self._keeps_up(cursor, frame):
            return
        self._on_news()

    def changed(self, reel: Reel) -> None:
        """See ``Watcher``. Sound that cannot be sent is left out; without a picture the page has to ask anew."""
        cursor = self._cursors.get(reel.kind)
        if cursor is None or cursor.reel is not reel:
            return
        cursor.restart()
        if reel.kind is self._leading and not self._sendable(reel):
            self._on_lost(reel.codec)

    def stuck(self, reel: Reel, first: int, data: bytes, sent: int) -> None:
        """See ``Watcher``."""
        cursor = self._cursors.get(reel.kind)
        if cursor is None or cursor.reel is not reel or cursor.since is None:
            return
        self.leave_live()
        self._live_octets -= len(data) - max(0, sent)
        if sent <= 0:
            self._taken -= reel.live_end - first
            cursor.next = first
        self._on_stuck(data, sent)

    def leave_live(self) -> None:
        """See ``Watcher``."""
        for cursor in self._cursors.values():
            if cursor.since is None:
                continue
            made, octets = cursor.got()
            self._taken += made
            self._live_octets += octets
            cursor.next, cursor.since = cursor.reel.live_end, None
            cursor.reel.live.pop(self, None)
            cursor.reel.watchers[self] = None

    def _keeps_up(self, cursor: ReelCursor, newest: FragmentMessage) -> bool:
        """Whether there is something to send to one that was waiting or is behind. It goes on where it is not late."""
        if cursor.next is None:
            if newest.keyframe:
                cursor.next = newest.index
            return newest.keyframe
        oldest = cursor.due()
        late = oldest is None or (newest.keyframe and newest.seconds - oldest.seconds > MAX_LAG)
        if late and cursor.reel.kind is Kind.VIDEO and not newest.keyframe:
            cursor.next = cursor.reel.keyframe  # what it was to get has been dropped
        elif late and (cursor.reel.kind is Kind.VIDEO or oldest is None):
            self.skipped += newest.index - cursor.next
            cursor.next = newest.index
        return True

    def _sendable(self, reel: Reel) -> bool:
        return not reel.codec or (reel.plays and reel.codec in self._takes)

    def _go_on(self, kind: Kind) -> None:
        """Go on in the reel that is to come."""
        self.leave_live()
        before = self._cursors[kind].reel
        self._cursors[kind] = ReelCursor(self._coming.pop(kind))
        self._leave(before)

    def _arrive(self) -> None:
        if self._leading not in self._coming:
            self.camera = self._going

    @property
    def _leading(self) -> Kind:
        return Kind.VIDEO if Kind.VIDEO in self._cursors else Kind.AUDIO

    def _leave(self, reel: Reel) -> None:
        reel.watchers.pop(self, None)
        self._reels.release(reel)
