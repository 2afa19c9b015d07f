"""A viewer at the end of a line, in time that the test makes pass: pictures go in, feedback comes back."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from common.media import MAX_PAYLOAD, Kind
from egress.media.feed import Feed
from egress.negotiation import Section
from egress.position import Position
from rigs.path import Path
from tests.fakes.media import video
from tests.fakes.watcher import VIDEO_WITH_FEEDBACK, Watcher

TICK = 0.005  # seconds
FPS, GROUP = 30, 60
PICTURE, KEYFRAME = 11, 86  # packets: 3.5 Mb/s
FEEDBACK = 0.1  # seconds between two of Chromium's
RESOLUTION = 250e-6  # seconds of a time in it


class Line:
    """A camera's pictures to one viewer over a path with a queue; its feedback takes no time."""

    def __init__(self, *, rate: float, watched: bool = True, section: Section = VIDEO_WITH_FEEDBACK) -> None:
        self.path = Path(rate=rate)
        self.now = 0.0
        self.feed = Feed(Kind.VIDEO)
        self.viewer = Watcher(self.feed, section, round_trip=0.05)
        self.viewer.quality.watched = watched
        self.viewer.sender.start(0.0)
        self.shown: list[float] = []  # when each picture had come of which nothing is missing since a keyframe
        self.alarms: list[float] = []
        self._on_way: list[tuple[float, bytes]] = []
        self._come: Counter[int] = Counter()  # packets by timestamp
        self._first: int | None = None  # timestamp
        self._number = self._frame = self._next = 0
        self._heard: dict[int, float] = {}  # not told yet
        self._tell_at = 0.3 * FEEDBACK

    def pass_time(self, seconds: float) -> None:
        """Let it go on."""
        until = self.now + seconds
        while self.now < until:
            self._push()
            sender = self.viewer.sender
            if sender.position is Position.BEHIND:
                sender.catch_up(self.now)
            for datagram in self.viewer.target.take():
                if (at := self.path.carry(len(datagram), self.now)) is not None:
                    self._on_way.append((at, datagram))
            self._receive()
            if self.now >= self._tell_at:
                self._tell_at += FEEDBACK
                if sender.arrived(self._heard, self.now):
                    self.alarms.append(self.now)
                self._heard.clear()
                sender.look(self.now)
            self.now = round(self.now + TICK, 6)

    def longest_gap(self, since: float) -> float:
        """Seconds between two pictures."""
        shown = [at for at in self.shown if at >= since - 1 / FPS] + [self.now]
        return max(after - before for before, after in pairwise(shown))

    def _push(self) -> None:
        while self._frame / FPS <= self.now:
            keyframe = not self._frame % GROUP
            packets = KEYFRAME if keyframe else PICTURE
            batch = video(self._number, self._frame, keyframe=keyframe, packets=packets, size=MAX_PAYLOAD)
            self.feed.push(batch, self.now)
            self._number, self._frame = self._number + packets, self._frame + 1

    def _receive(self) -> None:
        come = [(at, datagram) for at, datagram in self._on_way if at <= self.now]
        self._on_way = [(at, datagram) for at, datagram in self._on_way if at > self.now]
        for at, datagram in come:
            if datagram[0] & 0x10:  # RFC 3550 5.1: an extension, which has the transport-wide number
                self._heard[int.from_bytes(datagram[2:4])] = round(at / RESOLUTION) * RESOLUTION
            timestamp = int.from_bytes(datagram[4:8])
            self._first = timestamp if self._first is None else self._first
            frame = ((timestamp - self._first) & 0xFFFFFFFF) * FPS // 90_000
            self._come[frame] += 1
            keyframe = not frame % GROUP
            if self._come[frame] == (KEYFRAME if keyframe else PICTURE) and (keyframe or frame == self._next):
                self.shown.append(at)
                self._next = frame + 1
