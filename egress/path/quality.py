"""The quality of one viewer's path: whether it is thin, and how fast it may be sent what does not come live; pure.

On a local network everything goes at once: pacing would only add delay. On a thin path a burst overruns a router's
queue, so there a viewer gets packets as fast as the path carries them, or, while that is unknown, at twice the
camera's rate as WebRTC senders do. A path is thin if it was measured to be, and before that if its round trip is long;
and in any case for a while after its receiver reported loss.
"""

from __future__ import annotations

import math

from egress.path.capacity import Capacity
from egress.path.sizes import Sizes

LOCAL_ROUND_TRIP = 0.02  # seconds: Wi-Fi and wired local networks stay below, DSL and mobile networks above
THIN_CAPACITY = 5_000_000  # bytes/s (40 Mb/s): a keyframe of 200 kB takes 40 ms
LEAST_FACTOR = 1.25  # times the camera's rate at which to catch up at least, or it would never end
LOSS = 0.01  # share of packets lost in a report that makes a path lossy
LOSSY_FOR = 30.0  # seconds that it then stays lossy
NARROW_SHARE = 0.9  # of what a path carries that is narrower than the camera's rate: its queue is to become empty
LOCAL_RATE = 12_500_000  # bytes/s (100 Mb/s): a group of pictures has to fit through a browser's socket buffer
THIN_FACTOR = 2.0  # times the camera's rate
MIN_RATE = 500_000  # bytes/s (4 Mb/s), for cameras that send little, and until a camera's rate is known
UNKNOWN_ROUND_TRIP = 0.1  # seconds
LEAST_PLAYOUT_DELAY, MOST_PLAYOUT_DELAY = 0.15, 0.5  # seconds, where a receiver is told one
PLAYOUT_STEP = 0.05  # seconds


def thin_rate(camera_rate: float) -> float:
    """Bytes/s to send on a thin path."""
    return max(THIN_FACTOR * camera_rate, MIN_RATE)


class PathQuality:
    """The judgement on one viewer's path. All times are monotonic seconds."""

    __slots__ = ("_lossy_until", "_round_trip", "capacity", "reliable", "sizes", "watched")

    def __init__(self, *, watched: bool = False) -> None:
        self.capacity = Capacity()
        self.sizes = Sizes()
        self.reliable = False  # TCP: what is sent arrives, at the pace that TCP finds out by itself
        self.watched = watched  # the viewer may be shown a smaller stream: see at once where this one is too large
        self._round_trip = float("inf")  # the least that was seen, as queues only add to it
        self._lossy_until = float("-inf")

    def moved(self) -> None:
        """Forget what is known: the viewer is reached through another network."""
        self.capacity, self.sizes = Capacity(), Sizes()
        self._round_trip, self._lossy_until = float("inf"), float("-inf")

    @property
    def round_trip(self) -> float:
        """The shortest in seconds, or what is assumed where it is not known or longer."""
        return min(self._round_trip, UNKNOWN_ROUND_TRIP)

    def measured(self, round_trip: float) -> None:
        """Note a round trip time in seconds, of the handshake or a receiver report."""
        self._round_trip = min(self._round_trip, round_trip)

    def lost(self, share: float, now: float) -> None:
        """Note the share of packets that a receiver report says were lost since the one before."""
        if share >= LOSS:
            self._lossy_until = now + LOSSY_FOR

    def lossy(self, now: float) -> bool:
        """Whether its receiver reported loss of late."""
        return not self.reliable and now < self._lossy_until

    def thin(self, now: float) -> bool:
        """Whether bursts are to be avoided."""
        if self.reliable:
            return False
        if now < self._lossy_until:
            return True
        estimate = self.capacity.estimate
        return self._round_trip > LOCAL_ROUND_TRIP if estimate is None else estimate < THIN_CAPACITY

    def narrow(self, camera_rate: float, now: float) -> float | None:
        """Bytes/s that the path carries, if it is watched and these are less than the camera sends just now."""
        return self.capacity.narrow(camera_rate, now) if self.watched and not self.reliable else None

    def rate(self, camera_rate: float, now: float) -> float:
        """Bytes/s at which to catch up with a camera that sends ``camera_rate`` bytes/s."""
        if (narrow := self.narrow(camera_rate, now)) is not None:
            return NARROW_SHARE * narrow
        if not self.thin(now):
            return LOCAL_RATE
        estimate = self.capacity.estimate
        if estimate is None:
            return thin_rate(camera_rate)
        return min(max(estimate, LEAST_FACTOR * camera_rate), LOCAL_RATE)

    def playout_delay(self, camera_rate: float, burst: float, now: float) -> float:
        """Seconds for which the receiver is to keep pictures, so that losses are repaired in time; 0: as it likes.

        The camera sends ``camera_rate`` bytes/s, and up to ``burst`` bytes at once.

        A receiver learns from the arrivals of pictures how long to keep them, but leaves out those that something was
        sent again of. On a lossy path that is every keyframe, the very pictures that take long.
        """
        if not self.lossy(now):
            return 0.0
        needed = burst / self.rate(camera_rate, now) + 1.5 * self.round_trip
        steps = math.ceil(round(min(max(LEAST_PLAYOUT_DELAY, needed), MOST_PLAYOUT_DELAY) / PLAYOUT_STEP, 3))
        return steps * PLAYOUT_STEP
