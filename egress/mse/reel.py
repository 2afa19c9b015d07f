"""The fragments of one feed, made once and kept for all its viewers; pure.

Kept are those since the newest keyframe, with which a new viewer starts, and those of the last ``MAX_LAG``, for viewers
that are a little behind. Each is a WebSocket message already. Of sound each fragment can be begun with.

A viewer that has everything is *live*: what is new is one call for it, of its socket's own ``send``, and what it was
sent is counted here for all of them. By ``Watcher.arrived`` it took 7 µs of Python for each fragment and viewer, as
much as the system call does (``python -m bench run mse``). A picture goes out at once. Of sound some fragments are held
and go together: there are more of them than of pictures, and a short message costs a call as a long one does.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from common.media import MAX_GOP_BYTES, Batch, Flags, Kind
from egress.media.feed import Feed
from egress.media.stream import Stream
from egress.mse.fragmenter import Fragmenter, Initialization, fragmenter_of
from egress.mse.websocket import Opcode, frame

MAX_LAG = 0.5  # seconds that a viewer may be behind when a keyframe comes; if it is more, it goes on there
SOUND_KEPT = 2.0  # seconds of sound for viewers that are behind
SOUND_HELD = 0.05  # seconds that sound may wait for more: a third of what a player keeps between it and the newest
MARKS = {Kind.VIDEO: b"\0", Kind.AUDIO: b"\1"}  # first byte of a message with a segment: of which track it is


@dataclass(frozen=True, slots=True)
class Beginning:
    """The message with which a viewer begins to be sent a track, or goes on when its description changed."""

    codec: str
    data: bytes  # frames of WebSocket: a text that names the codec, and the initialization segment


@dataclass(frozen=True, slots=True)
class FragmentMessage:
    """One fragment as a WebSocket message."""

    index: int  # grows by one
    data: bytes
    seconds: float
    keyframe: bool
    beginning: Beginning


class Watcher(Protocol):
    """One viewer of the reel."""

    def arrived(self, reel: Reel, frame: FragmentMessage) -> None:
        """Take the next fragment."""

    def changed(self, reel: Reel) -> None:
        """Note that the feed is of another codec now, perhaps of none that can be sent."""

    def stuck(self, reel: Reel, first: int, data: bytes, sent: int) -> None:
        """Note that the live viewer's socket took only ``sent`` bytes of ``data``; less than none if it broke.

        That is the fragments from index ``first`` to those that are held.
        """

    def leave_live(self) -> None:
        """Be live no more: it is told of each fragment from now on."""


Send = Callable[[bytes], int]
"""A socket's ``send``, which raises ``BlockingIOError`` where it takes nothing now."""


class Reel:
    """A tap of one feed of a stream's, from ``open`` to ``close``."""

    def __init__(self, stream: Stream, kind: Kind, origin_ns: int) -> None:
        self.stream = stream
        self.kind = kind
        self.feed = stream.feeds[kind]
        self.codec = ""  # none has come yet
        self.end = 0  # index of the next fragment
        self.keyframe: int | None = None  # index of the newest that can be begun with, while it is here
        self.watchers: dict[Watcher, None] = {}  # those that are not live
        self.live: dict[Watcher, Send] = {}
        self.made = 0  # fragments that went to those that are live
        self.octets = 0  # of their messages
        self._origin_ns = origin_ns
        self._fragmenter: Fragmenter | None = None
        self._frames: deque[FragmentMessage] = deque()
        self._held: list[bytes] = []  # messages of the newest fragments, which those that are live were not sent yet
        self._held_from = 0.0  # the time of the first of them
        self._size = 0
        self._beginning: tuple[Initialization, Beginning] | None = None

    @property
    def start(self) -> int:
        """Index of the oldest fragment that is kept."""
        return self.end - len(self._frames)

    @property
    def live_end(self) -> int:
        """Index of the next fragment for those that are live."""
        return self.end - len(self._held)

    @property
    def plays(self) -> bool:
        """Whether what comes can be sent; true as long as nothing has come."""
        return self._fragmenter is not None or not self.codec

    def open(self, now: float) -> None:
        """Make fragments of what the feed has kept, if that is no old picture, and of everything that comes."""
        if self.kind is Kind.VIDEO and self.feed.fresh(now):
            for batch in _cached(self.feed):
                self.take(batch, batch.timestamp)
        self.feed.taps.add(self)

    def close(self) -> None:
        """Make no more."""
        self.feed.taps.discard(self)
        self._frames.clear()

    def get(self, index: int) -> FragmentMessage:
        """The fragment with that index, between ``start`` and ``end``."""
        return self._frames[index - self.start]

    def take(self, batch: Batch, timestamp: int) -> None:
        """See ``egress.media.feed.Tap``."""
        if batch.codec != self.codec:
            self._change(batch.codec)
        if self._fragmenter is None:
            return
        made = self._fragmenter.push(batch, timestamp)
        if made is None:
            return
        beginning = self._begin(made.initialization)
        data = frame(Opcode.BINARY, MARKS[self.kind], made.segment)
        new = FragmentMessage(self.end, data, made.seconds, made.keyframe, beginning)
        before = self._frames[-1].seconds if self._frames else float("-inf")
        if new.keyframe:
            self.keyframe = new.index
        self._frames.append(new)
        self._size += len(data)
        self.end += 1
        self._trim(new.seconds)
        if not self._held:
            self._held_from = new.seconds
        self._held.append(data)
        watchers = tuple(self.watchers)  # before others become it as they are full of this very fragment
        next_comes = 2 * new.seconds - before
        if self.kind is Kind.VIDEO or next_comes - self._held_from > SOUND_HELD:
            self.flush()
        for watcher in watchers:
            watcher.arrived(self, new)

    def forget(self) -> None:
        """See ``egress.media.feed.Tap``. Whoever is behind waits for the next keyframe, too."""
        self.flush()
        self._forget()

    def flush(self) -> None:
        """Send those that are live everything: before somebody else becomes it, too."""
        held, first = self._held, self.live_end
        if not held:
            return
        data = b"".join(held) if len(held) > 1 else held[0]
        self.made += len(held)
        self.octets += len(data)
        held.clear()
        size = len(data)
        for watcher, send in tuple(self.live.items()):
            try:
                sent = send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                sent = -1
            if sent != size:
                watcher.stuck(self, first, data, sent)

    def _change(self, codec: str) -> None:
        self.codec = codec
        self._fragmenter = fragmenter_of(self.kind, codec, self._origin_ns)
        self.flush()
        self._forget()
        self._recall()
        for watcher in tuple(self.watchers):
            watcher.changed(self)

    def _recall(self) -> None:
        """Let nobody be live: what comes next is not as before."""
        for watcher in tuple(self.live):
            watcher.leave_live()

    def _begin(self, initialization: Initialization) -> Beginning:
        if self._beginning is None or self._beginning[0] is not initialization:
            self._recall()
            text = json.dumps({"type": "track", "kind": self.kind, "codec": initialization.codec})
            data = frame(Opcode.TEXT, text.encode())
            data += frame(Opcode.BINARY, MARKS[self.kind], initialization.segment)
            self._beginning = initialization, Beginning(initialization.codec, data)
        return self._beginning[1]

    def _trim(self, now: float) -> None:
        """Drop what nobody needs any more, and all of it if it is more than an ingest would cache."""
        kept = MAX_LAG if self.kind is Kind.VIDEO else SOUND_KEPT
        frames = self._frames
        while frames[0].seconds < now - kept and self._droppable(frames[0].index):
            self._size -= len(frames.popleft().data)
        if self._size > MAX_GOP_BYTES:
            self._forget()

    def _droppable(self, index: int) -> bool:
        return self.kind is Kind.AUDIO or self.keyframe is None or index < self.keyframe

    def _forget(self) -> None:
        """Keep nothing: nobody can go on before the next keyframe."""
        self._frames.clear()
        self._held.clear()
        self._size = 0
        self.keyframe = None


def _cached(feed: Feed) -> Iterator[Batch]:
    """The group of pictures that a feed has kept, an access unit in each batch, on the feed's own timeline."""
    history, timeline = feed.history, feed.timeline
    keyframe = history.keyframe
    if keyframe is None:
        return
    payloads: list[bytes] = []
    flags = int(Flags.KEYFRAME)
    for packet in history.slice(keyframe, history.end - keyframe):
        payloads.append(packet.payload)
        if packet.marker:
            before = (timeline.timestamp - packet.timestamp) & 0xFFFFFFFF
            capture_ns = timeline.capture_ns - before * 1_000_000_000 // timeline.clock_rate
            at = timeline.timestamp - before
            ends = flags | int(Flags.UNIT_END)
            yield Batch(feed.kind, feed.codec, 0, 0, at, capture_ns, capture_ns, ends, payloads)
            payloads, flags = [], 0
    if payloads:  # an access unit whose end is still to come
        yield Batch(
            feed.kind, feed.codec, 0, 0, timeline.timestamp, timeline.capture_ns, timeline.capture_ns, flags, payloads
        )
