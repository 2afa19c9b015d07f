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
from egress.media.fanout import Parcel, cuts, cuts_of, lacking_of
from egress.media.group import Group, GroupKey, Lane
from egress.media.history import ALL, NOBODY, WATCHED, Histories, History, Unit
from egress.media.meter import Meter
from egress.media.outbox import SLICE, Later, Outbox, at_once
from egress.media.target import Target
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


class Timeline:
    """Maps the timestamps of successive epochs onto one RTP clock that never jumps.

    An epoch (the camera reconnected, or another worker took it over) begins with the time of its capture, counted from
    ``origin``: so what was captured at one time has nearly one timestamp in all timelines of an origin and clock rate.
    Within an epoch the timestamps are the camera's and an offset.
    """

    def __init__(self, clock_rate: int, origin: int) -> None:
        self.clock_rate = clock_rate
        self._origin = origin
        self.capture_ns = 0  # Unix time of the newest batch's capture …
        self.timestamp = origin  # … and its extended timestamp as sent
        self._epoch: int | None = None
        self._offset = 0

    def map(self, batch: Batch) -> int:
        """The 32-bit RTP timestamp to send for ``batch``."""
        if batch.epoch != self._epoch:
            begins = self._origin + batch.capture_ns * self.clock_rate // 1_000_000_000
            if self._epoch is not None:
                # At least 10 ms on: two frames with one timestamp would be one frame to a receiver.
                begins = max(begins, self.timestamp + self.clock_rate // 100)
            self._offset = begins - batch.timestamp
            self._epoch = batch.epoch
        self.timestamp = batch.timestamp + self._offset
        self.capture_ns = batch.capture_ns
        return self.timestamp & 0xFFFFFFFF

    def offset(self, epoch: int) -> int | None:
        """The difference of the extended timestamp as sent and the batch's, if ``epoch`` is the one that there is."""
        return self._offset if epoch == self._epoch else None

    def advance(self, timestamp: int, capture_ns: int) -> int:
        """Note a batch's, of the epoch that there is. Returns its extended timestamp as sent."""
        self.timestamp, self.capture_ns = timestamp + self._offset, capture_ns
        return self.timestamp

    def at(self, unix_ns: int) -> int:
        """The 32-bit RTP timestamp of a moment, for sender reports (RFC 3550 6.4.1)."""
        passed = (unix_ns - self.capture_ns) * self.clock_rate // 1_000_000_000
        return (self.timestamp + passed) & 0xFFFFFFFF


class Feed:
    """One track towards all its viewers."""

    def __init__(
        self,
        kind: Kind,
        later: Later = at_once,
        histories: Histories | None = None,
        source: Source | None = None,
    ) -> None:
        self.kind = kind
        self._video = kind is Kind.VIDEO
        self._marker, self._probe = (MARKER, WATCHED) if self._video else (0, NOBODY)  # of what is no keyframe
        self.source = source or Source()
        self.codec = ""  # none has come yet
        self._named = b""  # kind and codec
        self.profile = ""  # H.264 profile-level-id, from the newest SPS
        self.history = History(histories)
        self.timeline = Timeline(90_000, self.source.origin)
        self.pushed_at: float | None = None  # monotonic time of the newest batch
        self.meter = Meter()
        self.trains: deque[Train] = deque(maxlen=64)  # runs of probes, as they went to live viewers
        self.pictures: deque[Train] = deque(maxlen=64)  # the same of other pictures, while a path is thin
        self.outbox = Outbox(later, self._blocked)
        self.overloads = 0  # times that this process was too slow for all its viewers
        self.taps: set[Tap] = set()
        self._groups: dict[GroupKey, Group] = {}
        self._parcels: dict[tuple[int, int, GroupKey], Parcel] = {}  # of this group of pictures, as joiners had them
        self._in_keyframe = False
        self._listeners: set[Listener] = set()
        self._idle: set[Listener] = set()  # those that are not live
        self._live: dict[Lane, Listener] = {}
        self._thin: dict[Lane, Listener] = {}  # those of the live ones that must not be sent bursts

    def know(self, codec: str, profile: str) -> None:
        """Take what comes for that codec and profile."""
        self.codec, self.profile = codec, profile
        self._named = named(self.kind, codec)

    def push(self, batch: Batch, now: float) -> None:
        """Send a batch to every live viewer, and remember it for the others."""
        self.pushed_at = now
        if self.outbox.late(now) > MAX_LATE:
            self._skip_ahead()
        if batch.codec != self.codec or (batch.keyframe and self.codec == "H264"):
            self._learn_format(batch)
        timestamp = self.timeline.map(batch)
        payloads, keyframe, video = batch.payloads, batch.keyframe, self._video
        sizes = payloads.sizes if type(payloads) is Packed else [*map(len, payloads)]
        size = sum(sizes)
        self.meter.add(size, self.timeline.timestamp / self.timeline.clock_rate)
        probe = keyframe or self._in_keyframe
        ends = video and batch.unit_end
        if video:
            self._in_keyframe = probe and not ends
        unit = Unit(payloads, timestamp, MARKER if ends else 0, ALL if probe else self._probe, size)
        index = self.history.append(unit, now, keyframe=keyframe)
        if keyframe:
            self._parcels.clear()
        if keyframe or not video:
            for listener in tuple(self._idle):
                listener.may_start(index)
        if self._thin and self.meter.burst > BURST:
            for listener in tuple(self._thin.values()):
                listener.slow_down(index)
        cut = cuts(sizes)
        self._send(unit, cut, index, now)
        for count in cut if probe else ():
            self.trains.append((index, index + count))
            index += count
        if self._thin and video and not probe:
            self.pictures.append((index, index + len(payloads)))
        for tap in tuple(self.taps) if self.taps else ():
            tap.take(batch, self.timeline.timestamp)

    def pass_on(self, frame: bytes, at: int, due: tuple[int, int, int], now: float) -> tuple[int, int] | None:
        """Send an ordinary picture or sound, and remember it, as ``push`` would: as most are where few watch.

        It stands at ``at`` in a frame of the bus, and is to be the one that is ``due`` (``Incoming.due``). Returns how
        many packets it has, and when it was read from the camera; ``None``, and nothing has happened, if it is another,
        or not to be sent in one piece to those who watch. To be called only where ``egress.native`` was built.
        """
        offset = self.timeline.offset(due[0])
        if offset is None or self._in_keyframe or self._thin or self.taps or len(self._groups) != 1:
            return None
        if self._idle and not self._video:  # which may start with any sound
            return None
        (group,) = self._groups.values()
        audience, first = group.audience, self.history.end
        if audience.border < len(audience.members) or not self.outbox.empty:
            return None
        most, header = SLICE // audience.border, group.usual_header(self._probe)
        sent = audience.compiled.pass_on(frame, at, self._named, most, due, header, self._marker, offset, first)
        if sent is None:
            return None
        found, refused = sent
        _epoch, _number, timestamp, capture_ns, arrival_ns, _flags, _named, packets, size, last, *places = found
        self.pushed_at = now
        extended = self.timeline.advance(timestamp, capture_ns)
        total = (packets - 1) * size + last
        self.meter.add(total, extended / self.timeline.clock_rate)
        payloads = Packed(frame, packets, size, last, *places)
        unit = Unit(payloads, extended & 0xFFFFFFFF, self._marker, self._probe, total)
        self.history.append(unit, now, keyframe=False)
        if refused:
            parcel = Parcel.of_spans([(unit, 0, packets)], [packets], group)
            for lane, lacking in lacking_of(refused, parcel, first, audience).items():
                self._blocked(lane, lacking)
        return packets, arrival_ns

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
        for tap in tuple(self.taps):
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
        self._listeners.add(listener)
        self._idle.add(listener)

    def discard(self, listener: Listener) -> None:
        """Leave out a viewer that is gone."""
        self._listeners.discard(listener)
        self._idle.discard(listener)

    def join(self, listener: Listener, lane: Lane, group: Group, target: Target, *, thin: bool) -> None:
        """Send each batch on ``lane`` from now on, but no bursts if its path is ``thin``.

        ``group`` says what the lane's headers are like.
        """
        assert lane not in self._live, "each packet has its number once"
        group = self._groups.setdefault(group.key, group)
        group.add(lane, target)
        self._live[lane] = listener
        self._idle.discard(listener)
        if thin:
            self._thin[lane] = listener

    def leave(self, lane: Lane, group: Group) -> int:
        """Send nothing more on a live ``lane``. Returns the index of the first packet that it did not get."""
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
