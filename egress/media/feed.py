"""One track of a stream as this process sends it: numbering, timestamps, history, and the fan-out to live viewers.

All viewers of a feed get the same SSRC, timestamps and payloads. Those that have everything there is are *live*: they
are in a group and get each batch as it comes. The others are told when they can start, and read from the history.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from common.media import CLOCK_RATES, Batch, Kind, named
from common.packed import Packed
from egress import native
from egress.media.fanout import Parcel, cuts, cuts_of, lacking_of
from egress.media.group import Group, GroupKey, Lane
from egress.media.history import ALL, NOBODY, WATCHED, Histories, Unit
from egress.media.outbox import SLICE, Later, Outbox, at_once
from egress.media.sent import Sent
from egress.media.target import Target
from egress.media.timeline import Timeline
from egress.path.capacity import Train
from egress.path.pace import BURST

MAX_LATE = 1.0  # seconds that a batch may wait for its turn; a process that is slower skips to the next keyframe
FRESH = 5.0  # seconds after which the history of a silent camera is no picture to start with
PARCELS_KEPT = 8  # of 64 kB at most: the group of pictures at 2 Mb/s, for viewers that join at nearly the same time
MARKER = 0x80  # RFC 3550 5.1, second byte

_H264_SPS, _H264_STAP_A = 7, 24  # NAL unit types, RFC 6184 5.2


class Listener(Protocol):
    """A viewer's end of a feed."""

    def may_start(self, index: int) -> None:
        """Begin with the batch at ``index`` if it waits: a receiver can, and live viewers get it next."""

    def fall_behind(self, index: int) -> None:
        """Keep the packets from ``index`` on for later: the socket's buffer is full, and did not take them."""

    def slow_down(self, index: int) -> None:
        """Keep the packets from ``index`` on for later: they are too many to be sent at once on a thin path."""

    def skip_ahead(self, index: int) -> None:
        """Give the packets from ``index`` on up, and go on where a receiver can start."""

    def format_changed(self) -> None:
        """Note that the feed's codec or profile is known now, or is another one."""


class Tap(Protocol):
    """Takes what a feed takes, for viewers that are sent it in another form (``egress.mse``)."""

    def take(self, batch: Batch, timestamp: int) -> None:
        """Take the next batch, and its extended timestamp in the feed's timeline."""

    def forget(self) -> None:
        """Let nobody begin with what was taken."""


@dataclass(frozen=True, slots=True)
class Source:
    """The synchronization source that a kind of media is to its viewers (RFC 3550 3), and that of what is repeated.

    Feeds that a viewer may be moved between share one, so that it is one stream to the receiver all the while.
    """

    ssrc: int = field(default_factory=lambda: secrets.randbits(32))
    rtx_ssrc: int = field(default_factory=lambda: secrets.randbits(32))  # RFC 4588 4
    origin: int = field(default_factory=lambda: secrets.randbits(31))  # timestamp of what was captured in 1970


class Feed(Sent):
    """One track towards all its viewers."""

    def __init__(
        self,
        kind: Kind,
        later: Later = at_once,
        histories: Histories | None = None,
        source: Source | None = None,
    ) -> None:
        self.source = source or Source()
        super().__init__(kind, histories, self.source.origin)
        self._video = kind is Kind.VIDEO
        self._marker, self._probe = (MARKER, WATCHED) if self._video else (0, NOBODY)  # of what is no keyframe
        self.codec = ""  # none has come yet
        self._named = b""  # kind and codec
        self.profile = ""  # H.264 profile-level-id, from the newest SPS
        self.trains: deque[Train] = deque(maxlen=64)  # runs of probes, as they went to live viewers
        self.pictures: deque[Train] = deque(maxlen=64)  # the same of other pictures, while a path is thin
        self.outbox = Outbox(later, self._blocked)
        self.overloads = 0  # times that this process was too slow for all its viewers
        self._taps: set[Tap] = set()
        self._groups: dict[GroupKey, Group] = {}
        self._parcels: dict[tuple[int, int, GroupKey], Parcel] = {}  # of this group of pictures, as joiners had them
        self._in_keyframe = False
        self._listeners: set[Listener] = set()
        self._idle: set[Listener] = set()  # those that are not live
        self._live: dict[Lane, Listener] = {}
        self._thin: dict[Lane, Listener] = {}  # those of the live ones that must not be sent bursts

    @property
    def taps(self) -> set[Tap]:
        """Viewers of another form, who take all that comes; may be changed at once."""
        self.books.end(self.kind)
        return self._taps

    def know(self, codec: str, profile: str) -> None:
        """Take what comes for that codec and profile."""
        self.books.end(self.kind)
        self.codec, self.profile = codec, profile
        self._named = named(self.kind, codec)

    def push(self, batch: Batch, now: float) -> None:
        """Send a batch to every live viewer, and remember it for the others."""
        self.books.end(self.kind)
        self._pushed_at = now
        if self.outbox.late(now) > MAX_LATE:
            self._skip_ahead()
        if batch.codec != self.codec or (batch.keyframe and self.codec == "H264"):
            self._learn_format(batch)
        timestamp = self._timeline.map(batch)
        payloads, keyframe, video = batch.payloads, batch.keyframe, self._video
        sizes = payloads.sizes if type(payloads) is Packed else [*map(len, payloads)]
        size = sum(sizes)
        self._meter.add(size, self._timeline.timestamp / self._timeline.clock_rate)
        probe = keyframe or self._in_keyframe
        ends = video and batch.unit_end
        if video:
            self._in_keyframe = probe and not ends
        unit = Unit(payloads, timestamp, MARKER if ends else 0, ALL if probe else self._probe, size)
        index = self._history.append(unit, now, keyframe=keyframe)
        if keyframe:
            self._parcels.clear()
        if keyframe or not video:
            for listener in tuple(self._idle):
                listener.may_start(index)
        if self._thin and self._meter.burst > BURST:
            for listener in tuple(self._thin.values()):
                listener.slow_down(index)
        cut = cuts(sizes)
        self._send(unit, cut, index, now)
        for count in cut if probe else ():
            self.trains.append((index, index + count))
            index += count
        if self._thin and video and not probe:
            self.pictures.append((index, index + len(payloads)))
        for tap in tuple(self._taps) if self._taps else ():
            tap.take(batch, self._timeline.timestamp)

    def way(self, due: tuple[int, int, int, int]) -> native.Passage | None:
        """The way of ordinary pictures or sound, as most are where few watch, which leave without ``push``.

        ``due`` is the epoch, number and ages of the next, as ``native.Passage`` has it. ``None`` if it is not to be
        sent in one piece to all who watch. To be called only where ``egress.native`` was built, and by ``books``.
        """
        offset = self._timeline.offset(due[0])
        if offset is None or self._in_keyframe or self._thin or self._taps or len(self._groups) != 1:
            return None
        if self._idle and not self._video:  # which may start with any sound
            return None
        (group,) = self._groups.values()
        audience = group.audience
        if audience.border < len(audience.members) or not self.outbox.empty:
            return None
        most, header = SLICE // audience.border, group.usual_header(self._probe)
        first = self._history.end
        return native.Passage(audience.compiled, self._named, most, due, header, self._marker, offset, first)

    def enter(self, frame: bytes, found: native.Found, now: float) -> None:
        """Remember what left by a ``way``, as ``push`` would."""
        self.remember(frame, found, self._marker, self._probe, now)

    def lacking(self, refused: native.Refused, frame: bytes, found: native.Found, first: int) -> None:
        """Tell those of whom the system did not take what was entered last, from index ``first`` on."""
        (group,) = self._groups.values()
        unit = self._unit(frame, found, self._marker, self._probe)  # the history may be too small for it
        packets = len(unit.payloads)
        parcel = Parcel.of_spans([(unit, 0, packets)], [packets], group)
        for lane, lacking in lacking_of(refused, parcel, first, group.audience).items():
            self._blocked(lane, lacking)

    def _send(self, unit: Unit, cut: Sequence[int], index: int, now: float) -> None:
        """Send a batch, whose first packet has that index, to all that are live, in runs of so many packets."""
        spans = [(unit, 0, len(unit.payloads))]
        if len(self._groups) == 1:
            (group,) = self._groups.values()
            self.outbox.send_alone(Parcel.of_spans(spans, cut, group), index, now)
        elif self._groups:
            for group in self._groups.values():
                self.outbox.add(Parcel.of_spans(spans, cut, group), index, now)
            self.outbox.send()

    def came_since(self, moment: float | None) -> bool:
        """Whether something has come since then: what came before may have been of another camera of the name."""
        return self.pushed_at is not None and moment is not None and self.pushed_at >= moment

    def forget(self) -> None:
        """Let nobody begin with what has come. Who gets it already goes on, and who joins waits for a start."""
        self.history.keyframe = None
        self._parcels.clear()
        for tap in tuple(self._taps):
            tap.forget()

    def fresh(self, now: float) -> bool:
        """Whether there is a cached group of pictures, and it is no old one."""
        return self.history.keyframe is not None and self.pushed_at is not None and now - self.pushed_at <= FRESH

    def pause(self) -> None:
        """Let live viewers get what is pushed next at their own pace: it comes late and at once."""
        for listener in tuple(self._live.values()):
            listener.slow_down(self.history.end)

    def parcel(self, first: int, count: int, group: Group) -> Parcel:
        """Up to ``count`` packets from ``first`` on, all in the history. Viewers that join together share them."""
        key = first, min(first + count, self.history.end), group.key
        parcel = self._parcels.pop(key, None)
        if parcel is None:
            spans = self.history.spans(first, count)
            parcel = Parcel.of_spans(spans, cuts_of(spans), group)
        self._parcels[key] = parcel  # the newest is the last
        if len(self._parcels) > PARCELS_KEPT:
            del self._parcels[next(iter(self._parcels))]
        return parcel

    def add(self, listener: Listener) -> None:
        """Tell this viewer's end from now on."""
        self.books.end(self.kind)
        self._listeners.add(listener)
        self._idle.add(listener)

    def discard(self, listener: Listener) -> None:
        """Leave out a viewer that is gone."""
        self.books.end(self.kind)
        self._listeners.discard(listener)
        self._idle.discard(listener)

    def join(self, listener: Listener, lane: Lane, group: Group, target: Target, *, thin: bool) -> None:
        """Send each batch on ``lane`` from now on, but no bursts if its path is ``thin``.

        ``group`` says what the lane's headers are like.
        """
        assert lane not in self._live, "each packet has its number once"
        self.books.end(self.kind)
        group = self._groups.setdefault(group.key, group)
        group.add(lane, target)
        self._live[lane] = listener
        self._idle.discard(listener)
        if thin:
            self._thin[lane] = listener

    def leave(self, lane: Lane, group: Group) -> int:
        """Send nothing more on a live ``lane``. Returns the index of the first packet that it did not get."""
        self.books.end(self.kind)
        self._thin.pop(lane, None)
        self._idle.add(self._live.pop(lane))
        group = self._groups[group.key]
        group.discard(lane)
        if not group:
            del self._groups[group.key]
        unsent = self.outbox.forget(lane)
        return self.history.end if unsent is None else unsent

    def _skip_ahead(self) -> None:
        self.overloads += 1
        unsent = self.outbox.clear()
        for lane, listener in tuple(self._live.items()):
            listener.skip_ahead(unsent.get(lane, self.history.end))

    def _blocked(self, lane: Lane, index: int) -> None:
        self._live[lane].fall_behind(index)

    def _learn_format(self, batch: Batch) -> None:
        codec, profile = batch.codec, _h264_profile(batch.payloads[0]) if batch.codec == "H264" else ""
        if codec != self.codec:
            self.profile = ""  # the other codec's
            rate = CLOCK_RATES.get(codec, self.timeline.clock_rate)
            if rate != self.timeline.clock_rate:
                self.timeline = Timeline(rate, self.source.origin)
        elif profile in ("", self.profile):
            return
        self.know(codec, profile or self.profile)
        for listener in tuple(self._listeners):
            listener.format_changed()


def _h264_profile(payload: bytes) -> str:
    """profile-level-id of the SPS that a keyframe's first packet starts with (RFC 6184 8.1); empty if there is none."""
    sps = payload[3:] if payload and payload[0] & 0x1F == _H264_STAP_A else payload
    return sps[1:4].hex() if len(sps) >= 4 and sps[0] & 0x1F == _H264_SPS else ""
